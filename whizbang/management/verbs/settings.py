"""`settings`: what is in force, and what system checks say."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from dataclasses import asdict

from django.core.management.base import BaseCommand

from whizbang.management.verbs.base import Options, Verb
from whizbang.operations.configuration import Entry, Product, read_configuration


class SettingsVerb(Verb):
    name = "settings"
    help = "Show the settings in force, secrets masked, and what system checks say."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true")

    def run(self, command: BaseCommand, options: Options) -> None:
        found = read_configuration()
        if options["json"]:
            command.stdout.write(json.dumps(asdict(found)))
            return
        for entry in found.settings:
            _print_entry(command, entry, "", is_default_told=True)
        for product in (*found.databases, *found.stores, *found.brokers, *found.sinks):
            _print_product(command, product)
        if not found.findings:
            command.stdout.write(command.style.SUCCESS("System checks find nothing."))
        for finding in found.findings:
            hint = f" {finding.hint}" if finding.hint else ""
            text = f"{finding.level} {finding.id}: {finding.text}{hint}"
            style = command.style.WARNING if finding.level != "info" else str
            command.stdout.write(style(text))


def _print_product(command: BaseCommand, product: Product) -> None:
    command.stdout.write(f"{product.kind} {product.alias}: {product.backend}")
    if product.problem:
        command.stdout.write(command.style.WARNING(f"    {product.problem}"))
    for entry in (*product.abilities, *product.options):
        _print_entry(command, entry, "    ", is_default_told=False)


def _print_entry(command: BaseCommand, entry: Entry, indent: str, *, is_default_told: bool) -> None:
    note = " (default)" if is_default_told and not entry.is_given else ""
    command.stdout.write(f"{indent}{entry.key} = {entry.value}{note}")
