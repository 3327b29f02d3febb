"""Runs untrusted Python and hands back data: never an object, never a program's own verdict."""

from gasp_rl.sandbox.jobs import (
    Abduct,
    Asserts,
    Call,
    Check,
    Deduct,
    Func,
    Job,
    Layer,
    Result,
    Stdio,
    TestResult,
    Validate,
    Verdict,
)
from gasp_rl.sandbox.pool import Sandbox

__all__ = [
    "Abduct",
    "Asserts",
    "Call",
    "Check",
    "Deduct",
    "Func",
    "Job",
    "Layer",
    "Result",
    "Sandbox",
    "Stdio",
    "TestResult",
    "Validate",
    "Verdict",
]
