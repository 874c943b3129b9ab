"""Imported by the fork server of the tests before all else: the demo, and what studies of genomes are made with."""

from __future__ import annotations

import pkgutil
from importlib import import_module

import cmaes
import optuna

import brain.demo
from support import dna_worker

for found in pkgutil.walk_packages(brain.demo.__path__, "brain.demo."):
    import_module(found.name)

__all__ = ["cmaes", "dna_worker", "optuna"]
