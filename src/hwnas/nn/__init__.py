"""Torch modules: built networks and supernets."""
