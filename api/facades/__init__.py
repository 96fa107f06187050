"""Facades: the same facts in the words of other standards, read only. None of them decides the native model.

What a standard cannot say is left out, never bent (docs/facades.md says what). Events are made when they are asked for,
of the lines of projections/timeline.py, so what was retracted or corrected since is told at once.
"""
