"""models/physics."""
