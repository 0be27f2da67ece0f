"""Waiting for a condition, with the reason in the message when it does not come."""

import time


def wait_until(condition, timeout=30.0, what="the condition", pause=0.05):
    """Calls `condition` until it returns something true, and returns that."""
    deadline = time.monotonic() + timeout
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {timeout} s for {what}")
        time.sleep(pause)
