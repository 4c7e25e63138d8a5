"""Personal fields of messages: where they are, and documents without them.

A document is what a stored payload is read as: dicts, lists and scalars.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any

import msgspec
from msgspec import inspect

from whizbang.messages.types import find_type

_MARK, _VALUES = "whizbang.personal", "values"
_PAYLOAD = "whizbang.payload"
# In an annotation: email: Annotated[str, PERSONAL]. It stands beside constraints, and changes nothing else.
PERSONAL = msgspec.Meta(extra={_MARK: True})
# For fields of the library's own messages: values under names that tell nothing about anybody, and a payload
# of the type that the field `type` beside it names.
PERSONAL_VALUES = msgspec.Meta(extra={_MARK: _VALUES})
PAYLOAD = msgspec.Meta(extra={_PAYLOAD: True})
MASK = "•••"

Masking = Callable[[Any], Any]


def personal_paths(cls: Any) -> list[str]:
    """Where a type has personal data: "email", "lines[].note", "contacts{}.name", sorted."""
    return sorted(set(_paths(inspect.type_info(cls), "", ())))


def has_personal_data(type_name: str) -> bool:
    """Has this stored type personal fields? One that no class has any more may have."""
    cls = find_type(type_name)
    return cls is None or bool(_known_paths(cls))


def mask_payload(type_name: str, document: Any) -> Any:
    """A copy of a stored payload with personal data as `•••`.

    All leaves are masked of a type that no class has any more; of others also what the class does not have,
    since it may have been personal in an older schema.
    """
    cls = find_type(type_name)
    return mask_leaves(document) if cls is None else mask_as(cls, document)


def mask_as(kind: Any, document: Any) -> Any:
    """See mask_payload(); for a document of any type that msgspec knows."""
    return _masking_of(kind)(document)


def mask_leaves(document: Any) -> Any:
    """A copy in which only keys and the shape are left."""
    if isinstance(document, dict):
        return {key: mask_leaves(value) for key, value in document.items()}
    if isinstance(document, list | tuple):
        return [mask_leaves(value) for value in document]
    return _mask(document)


@cache
def _known_paths(cls: Any) -> list[str]:
    return personal_paths(cls)


@cache
def _masking_of(kind: Any) -> Masking:
    return _Maskings().of(inspect.type_info(kind))


def _mask(value: Any) -> Any:
    """Nothing stays nothing: that there is nothing is no secret."""
    return None if value is None else MASK


def _keep(value: Any) -> Any:
    return value


def _payload(value: Any) -> Any:
    """Stands where a payload is, for _Fields: by itself it has no type."""
    return mask_leaves(value)


class _Fields:
    """Of a struct: each field as its type says; a field that the struct does not have is masked."""

    def __init__(self, node: Any) -> None:
        self.tag = getattr(node, "tag", None)
        self.tag_field = getattr(node, "tag_field", None)
        self.is_array = bool(getattr(node, "array_like", False))
        self.maskings: dict[str, Masking] = {}

    def __call__(self, document: Any) -> Any:
        if self.is_array and isinstance(document, list):
            first = [] if self.tag is None else document[:1]
            rest = document[len(first) :]
            return first + _each(list(self.maskings.values()), rest)
        if not isinstance(document, dict):
            return _mask_odd(document)
        return {key: self._mask_field(key, value, document) for key, value in document.items()}

    def _mask_field(self, key: Any, value: Any, document: dict[Any, Any]) -> Any:
        if key == self.tag_field:
            return value
        masking = self.maskings.get(key, mask_leaves)
        type_name = document.get("type")
        if masking is _payload and isinstance(type_name, str):
            return mask_payload(type_name, value)
        return masking(value)


class _Maskings:
    """Makes the masking of a type; of one that contains itself too."""

    def __init__(self) -> None:
        self._made: dict[int, _Fields] = {}

    def of(self, node: Any) -> Masking:
        match node:
            case inspect.Metadata():
                return _marked_masking(node) or self.of(node.type)
            case inspect.UnionType():
                return self._of_union(node.types)
            case inspect.DictType():
                return self._of_dict(node)
            case inspect.TupleType():
                maskings = [self.of(item) for item in node.item_types]
                return lambda value: _each(maskings, value)
        if hasattr(node, "fields"):
            return self._of_fields(node)
        if hasattr(node, "item_type"):
            masking = self.of(node.item_type)
            return _keep if masking is _keep else lambda value: _all(masking, value)
        return _keep

    def _of_fields(self, node: Any) -> _Fields:
        known = self._made.get(id(node))
        if known is None:
            known = self._made[id(node)] = _Fields(node)
            known.is_array = known.is_array or isinstance(node, inspect.NamedTupleType)
            known.maskings = {field.encode_name: self.of(field.type) for field in node.fields}
        return known

    def _of_dict(self, node: inspect.DictType) -> Masking:
        key, value = self.of(node.key_type), self.of(node.value_type)
        if key is _keep:
            return lambda document: (
                {k: value(v) for k, v in document.items()}
                if isinstance(document, dict)
                else _mask_odd(document)
            )
        # Keys that are personal: what stands behind each is told apart by its number alone.
        return lambda document: (
            {f"{MASK} {number}": value(v) for number, v in enumerate(document.values(), 1)}
            if isinstance(document, dict)
            else _mask_odd(document)
        )

    def _of_union(self, types: Sequence[Any]) -> Masking:
        """What any of them masks is masked, unless a tag says which one it is."""
        structs = [self._of_fields(node) for node in types if hasattr(node, "fields")]
        others = [self.of(node) for node in types if not hasattr(node, "fields")]
        others = [masking for masking in others if masking is not _keep]
        if not structs:
            return others[0] if len(others) == 1 else _keep if not others else _mask_union(others)
        return lambda document: _mask_alternatives(structs, others, document)


def _mask_union(maskings: Sequence[Masking]) -> Masking:
    def mask(document: Any) -> Any:
        for masking in maskings:
            document = masking(document)
        return document

    return mask


def _mask_alternatives(structs: Sequence[_Fields], others: Sequence[Masking], value: Any) -> Any:
    if isinstance(value, dict):
        for struct in structs:
            if struct.tag is not None and value.get(struct.tag_field or "") == struct.tag:
                return struct(value)
        if len(structs) > 1:
            return mask_leaves(value)
        return structs[0](value)
    if isinstance(value, list) and any(struct.is_array for struct in structs):
        return structs[0](value) if len(structs) == 1 else mask_leaves(value)
    return _mask_union(others)(value)


def _all(masking: Masking, value: Any) -> Any:
    return [masking(item) for item in value] if isinstance(value, list) else _mask_odd(value)


def _each(maskings: Sequence[Masking], value: Any) -> Any:
    """Positions in order; what stands behind those that are known is masked."""
    if not isinstance(value, list):
        return _mask_odd(value)
    more = [mask_leaves] * (len(value) - len(maskings))
    return [masking(item) for masking, item in zip([*maskings, *more], value, strict=False)]


def _mask_odd(value: Any) -> Any:
    """What should have been something else: nobody knows what is in it."""
    return mask_leaves(value)


def _marked_masking(node: Any) -> Masking | None:
    """None for a type that has other metadata."""
    extra = node.extra or {}
    if _PAYLOAD in extra:
        return _payload
    mark = extra.get(_MARK)
    return None if mark is None else mask_leaves if mark == _VALUES else _mask


def _paths(node: Any, path: str, above: tuple[int, ...]) -> Iterator[str]:
    if id(node) in above:
        return  # a type that contains itself: what is inside is told already
    above = (*above, id(node))
    if isinstance(node, inspect.Metadata):
        if _marked_masking(node) is not None:
            yield path
        else:
            yield from _paths(node.type, path, above)
        return
    for field in getattr(node, "fields", ()):
        yield from _paths(field.type, f"{path}.{field.encode_name}".lstrip("."), above)
    for name in ("types", "item_types"):
        for item in getattr(node, name, ()):
            yield from _paths(item, f"{path}[]" if name == "item_types" else path, above)
    if hasattr(node, "item_type"):
        yield from _paths(node.item_type, f"{path}[]", above)
    if isinstance(node, inspect.DictType):
        yield from _paths(node.key_type, f"{path}{{key}}", above)
        yield from _paths(node.value_type, f"{path}{{}}", above)
