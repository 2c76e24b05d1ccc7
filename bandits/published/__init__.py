"""Policies of other people's papers, each as its authors' code computes it, deviations named at each."""

from __future__ import annotations
