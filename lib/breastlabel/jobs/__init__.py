"""Work in processes of its own: a job's folder, its status, its end, and what it leaves to the requests.

A job is a folder: ``job.json`` says what to do, ``status.json`` how far it is, ``log.txt`` what the worker
printed, ``process.json`` which process it is. Nothing here imports torch or a server.
"""

from breastlabel.jobs.status import OVER, JobState, Status, read_json
from breastlabel.jobs.worker import CancelledError, main_of, nothing_left_to_cancel, run_worker

__all__ = [
    "OVER",
    "CancelledError",
    "JobState",
    "Status",
    "main_of",
    "nothing_left_to_cancel",
    "read_json",
    "run_worker",
]
