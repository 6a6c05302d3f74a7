"""Damage a scratch world in every way known, and keep the score."""
