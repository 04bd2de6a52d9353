"""Keras to TensorFlow Lite, in a process of its own: the converter can take its process down."""

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from affectd.daemon.errors import AffectdError

# Weights of float32; of float16; of int8 with float32 activations ("dynamic range").
FORMATS: Final = ("float32", "float16", "dynamic")


class ExportError(AffectdError):
    """A network cannot be exported, or the exported one does not agree with Keras."""


def convert(keras_file: Path, weights: str) -> bytes:
    """Convert a saved Keras network to a TensorFlow Lite one with batch 1 and built-in operators.

    weights: one of FORMATS. Raises ExportError if the converter fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "network.tflite"
        command = [sys.executable, "-m", __name__, str(keras_file), weights, str(out)]
        child = subprocess.run(command, capture_output=True, text=True, check=False)
        if child.returncode != 0:
            last = (child.stderr.strip().splitlines() or ["it said nothing"])[-1]
            raise ExportError(
                f"{keras_file} cannot be converted with {weights} weights: "
                f"the converter ended with status {child.returncode}: {last}"
            )
        return out.read_bytes()


def _convert(keras_file: str, weights: str) -> bytes:
    import keras
    import tensorflow as tf

    from affectd.train import networks  # noqa: F401 -- Keras finds its layers by this

    model = keras.models.load_model(keras_file, compile=False)
    signature = keras.InputSpec(shape=(1, *model.input_shape[1:]), dtype="float32")
    with tempfile.TemporaryDirectory() as folder:
        model.export(folder, format="tf_saved_model", input_signature=[signature], verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        if weights != "float32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if weights == "float16":
            converter.target_spec.supported_types = [tf.float16]
        # tflite-runtime 2.14 lacks FULLY_CONNECTED version 12, which the finer scales need.
        converter._experimental_disable_per_channel_quantization_for_dense_layers = True
        network: bytes = converter.convert()
        return network


if __name__ == "__main__":
    Path(sys.argv[3]).write_bytes(_convert(sys.argv[1], sys.argv[2]))
