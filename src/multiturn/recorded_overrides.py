"""What a message said instead of its model, as it is recorded with its turn; pure.

Neither keys nor addresses are recorded, nor rules of retries: who goes on with the turn
has its own.  Functions cannot be recorded; their names are, and the model's are used.
"""

from __future__ import annotations

from typing import Any

from multiturn.config import merged_config
from multiturn.errors import UsageError
from multiturn.messages.message import Object
from multiturn.request import Overrides
from multiturn.safety import merged_safety


def overrides_object(overrides: Overrides) -> Object:
    """Return what can be recorded of overrides; empty if there is nothing."""
    told: Object = {}
    if overrides.generation_config is not None:
        told["generationConfig"] = merged_config(overrides.generation_config)
    if overrides.safety_settings is not None:
        told["safetySettings"] = [*merged_safety(overrides.safety_settings)]
    if overrides.tools is not None:
        told.update(_tools_object(overrides.tools))
    if overrides.tool_config is not None:
        from multiturn.tools.accepted import tool_config_object

        told["toolConfig"] = tool_config_object(overrides.tool_config)
    if overrides.timeout_seconds is not None:
        told["timeoutSeconds"] = overrides.timeout_seconds
    return told


def _tools_object(tools: Any) -> Object:
    from multiturn.tools.accepted import tool_objects
    from multiturn.tools.functions import functions_in

    functions = functions_in(tools)
    return {"functions": sorted(functions)} if functions else {"tools": [*tool_objects(tools)]}


def overrides_from(told: Object) -> Overrides:
    """Return overrides again; those with functions have no tools."""
    seconds = told.get("timeoutSeconds")
    return Overrides(
        told.get("generationConfig"),
        told.get("safetySettings"),
        told.get("tools"),
        told.get("toolConfig"),
        None if seconds is None else {"timeout": seconds},
    )


def require_functions(told: Object, tools: Any) -> None:
    """Raise UsageError unless the model has every function that the message brought along.

    Args:
        told: What ``overrides_object`` returned.
        tools: The model's.
    """
    from multiturn.tools.functions import functions_in

    missing = sorted({*told.get("functions", ())} - functions_in(tools).keys())
    if missing:
        raise UsageError(
            f"the message was sent with tools of its own, and a store cannot hold functions; give "
            f"the model that goes on with it {', '.join(missing)}, as GenerativeModel(tools=[…])"
        )
