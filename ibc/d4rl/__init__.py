"""D4RL: names of its tasks, their environments, reference scores and published results."""

from ibc.d4rl.tasks import Task, find_task

__all__ = [
    "Task",
    "find_task",
]
