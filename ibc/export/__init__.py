"""Policies in other people's formats: ONNX graphs to act without torch, and a folder for a hub."""

from ibc.export.model_card import save_folder as save_folder
from ibc.export.onnx import export_onnx as export_onnx
