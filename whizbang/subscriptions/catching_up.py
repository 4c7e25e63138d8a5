"""Bringing what one runner applies nearer to the end of the log, apart from the engine."""

from __future__ import annotations

from whizbang.subscriptions.runner import SubscriptionRunner

NO_END = 2**63 - 1


def catch_up(runner: SubscriptionRunner, *, until: int) -> int:
    """Apply what the log has up to a position, batch by batch; gives how many events.

    With NO_END up to the last event that there is, which is then the runner's position.
    """
    done = 0
    while runner.position < until:
        rows, upto = runner.read_ahead(until=until)
        is_last = upto == NO_END
        if is_last:
            upto = rows[-1].position if rows else runner.position
        done += runner.run(rows, upto)
        if is_last and runner.position == upto:
            break
    runner.settle()
    return done
