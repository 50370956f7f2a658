"""Kernels of physics with units, range of validity and source: what the built-in lines and hybrid candidates stand on.

Every function takes and returns plain arrays in the units its docstring names. Where a number is not published it is called a
house parameter, and is handed in by the caller.

>>> import numpy as np
>>> float(convective_flux(np.array(850.0), np.array(800.0), 15.0))
750.0
"""

from __future__ import annotations

from madang.models.physics._firing import (
    GAS_CONSTANT,
    arrhenius_rate,
    crystallite_size,
    first_order_remaining,
    lithium_loss,
    oxygen_fraction,
    two_stage_remaining,
)
from madang.models.physics._heat import (
    KELVIN,
    STEFAN_BOLTZMANN,
    conduction_step,
    convective_flux,
    radiative_flux,
    zone_power,
)

__all__ = [
    "GAS_CONSTANT",
    "KELVIN",
    "STEFAN_BOLTZMANN",
    "arrhenius_rate",
    "conduction_step",
    "convective_flux",
    "crystallite_size",
    "first_order_remaining",
    "lithium_loss",
    "oxygen_fraction",
    "radiative_flux",
    "two_stage_remaining",
    "zone_power",
]
