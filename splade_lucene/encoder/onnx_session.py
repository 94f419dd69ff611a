"""Opens networks in ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from splade_lucene.defaults import thread_count
from splade_lucene.encoder.onnx_weights import restore_weights
from splade_lucene.encoder.storage import INT8_WEIGHTS
from splade_lucene.imports import turn_off_telemetry, uninterrupted_imports


@uninterrupted_imports()
def open_session(model: Path | bytes, folder: Path | None = None) -> Any:
    """Opens a network on the CPU, with all cores.

    Args:
        model: The ONNX file, or its contents.
        folder: The folder of the weights to which the contents refer; None if they hold all of them.

    Raises:
        Exception: ONNX Runtime's exceptions, which have no common base.
    """
    turn_off_telemetry()
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors only
    options.intra_op_num_threads = thread_count()
    entries = {"session.intra_op.allow_spinning": "0"}  # waiting threads leave the cores to the search
    if isinstance(model, Path):
        folder = model.parent
    if folder is not None and (folder / INT8_WEIGHTS).is_file():
        model, weights = restore_weights(model if isinstance(model, bytes) else model.read_bytes(), folder)
        values = [onnxruntime.OrtValue.ortvalue_from_numpy(each) for each in weights.values()]
        options.add_external_initializers(list(weights), values)
    if isinstance(model, bytes) and folder is not None:
        entries["session.model_external_initializers_file_folder_path"] = str(folder)
    for name, value in entries.items():
        options.add_session_config_entry(name, value)
    source = model if isinstance(model, bytes) else str(model)
    return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
