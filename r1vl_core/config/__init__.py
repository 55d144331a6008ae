"""The settings: every dial on one page (`dials.py`; those of key steps in `key_steps.py`), and how a preset file is read (`presets.py`)."""

from r1vl_core.config.chat_service import ChatService, Judge, ServedModel
from r1vl_core.config.dials import (
    Curate,
    Difficulty,
    Evaluate,
    Lora,
    Preset,
    ReportPage,
    Rewards,
    Runtime,
    Source,
    StepGRPO,
    Warmup,
    World,
)
from r1vl_core.config.group import Dials
from r1vl_core.config.key_steps import KeySteps, Teacher
from r1vl_core.config.names import BUNDLED_MODEL, STAGES, Decode, Hardening, Precision, Schedule, StageName
from r1vl_core.config.presets import check_keys, load_preset, parse_preset

__all__ = [
    "BUNDLED_MODEL",
    "STAGES",
    "ChatService",
    "Curate",
    "Decode",
    "Dials",
    "Difficulty",
    "Evaluate",
    "Hardening",
    "Judge",
    "KeySteps",
    "Lora",
    "Precision",
    "Preset",
    "ReportPage",
    "Rewards",
    "Runtime",
    "Schedule",
    "ServedModel",
    "Source",
    "StageName",
    "StepGRPO",
    "Teacher",
    "Warmup",
    "World",
    "check_keys",
    "load_preset",
    "parse_preset",
]
