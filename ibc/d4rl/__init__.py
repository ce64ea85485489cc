"""D4RL: names of its tasks, their environments, and reference scores."""

from ibc.d4rl.tasks import Task, find_task

__all__ = [
    "Task",
    "find_task",
]
