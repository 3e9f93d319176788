"""Two pages of TensorBoard that its writer fills badly: hparams and the embedding projector."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2
from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig
from torch import Tensor

from genlab.atomic import write_whole
from genlab.pictures import image_sheet, save_png

Value = plugin_data_pb2.SessionStartInfo.HparamsEntry().value.__class__
"""protobuf's number, truth value or text."""

_SEEN_DIMENSIONS = 3
"""The projector shows nothing of points with fewer: they get further coordinates, of 0."""


def hparams(settings: Mapping[str, Any]) -> Summary:
    """A run's row on the page `hparams`: numbers, true and false as such, everything else as text.

    torch's own makes booleans numbers.

    Args:
        settings: Dotted names to plain values.
    """
    start = plugin_data_pb2.SessionStartInfo()
    for name, value in settings.items():
        start.hparams[name].CopyFrom(_typed(value))
    return _summary(
        metadata.SESSION_START_INFO_TAG, plugin_data_pb2.HParamsPluginData(session_start_info=start)
    )


def hparams_columns(settings: Mapping[str, Any], tags: list[str]) -> Summary:
    """The columns of the page `hparams`: settings, and the scalars `tags` as metrics.

    TensorBoard takes those of whichever run it reads first, for all runs: right where all have the same,
    in a sweep. Where no run names columns it gathers all settings and all scalars.
    """
    kinds = {"number_value": api_pb2.DATA_TYPE_FLOAT64, "bool_value": api_pb2.DATA_TYPE_BOOL}
    columns = [
        api_pb2.HParamInfo(
            name=name, type=kinds.get(str(_typed(value).WhichOneof("kind")), api_pb2.DATA_TYPE_STRING)
        )
        for name, value in settings.items()
    ]
    metrics = [api_pb2.MetricInfo(name=api_pb2.MetricName(tag=tag)) for tag in tags]
    page = api_pb2.Experiment(hparam_infos=columns, metric_infos=metrics)
    return _summary(metadata.EXPERIMENT_TAG, plugin_data_pb2.HParamsPluginData(experiment=page))


def _typed(value: Any) -> Any:
    """A protobuf Value."""
    if isinstance(value, bool):
        return Value(bool_value=value)
    if isinstance(value, (int, float)) and math.isfinite(value):  # JSON has no others
        return Value(number_value=value)
    return Value(string_value="null" if value is None else str(value))


def _summary(tag: str, content: plugin_data_pb2.HParamsPluginData) -> Summary:
    described = metadata.create_summary_metadata(content)
    return Summary(value=[Summary.Value(tag=tag, metadata=described, tensor=metadata.NULL_TENSOR)])


def write_projector(folder: Path, name: str, latents: Tensor, labels: list[str], thumbnails: Tensor) -> None:
    """Writes what the page `projector` shows of a run; torch's writer would add to it with each call.

    Args:
        folder: The run folder; files go to its subfolder `projector`.
        name: Of the space.
        latents: `[N, L]`.
        labels: N texts, without tabs and line breaks.
        thumbnails: `[N, 1 or 3, S, S]` in [0, 1].
    """
    files = folder / "projector"
    flat = (0, max(0, _SEEN_DIMENSIONS - latents.shape[1]))
    latents = torch.nn.functional.pad(latents, flat)
    rows = "".join("\t".join(f"{x:.6g}" for x in row) + "\n" for row in latents.tolist())
    write_whole(files / "latents.tsv", lambda file: file.write(rows.encode()))
    lines = "".join(f"{label}\n" for label in labels)
    write_whole(files / "labels.tsv", lambda file: file.write(lines.encode()))
    save_png(image_sheet(thumbnails), files / "sprites.png")
    config = ProjectorConfig()
    shown = config.embeddings.add(tensor_name=name)
    shown.tensor_path = "projector/latents.tsv"
    shown.metadata_path = "projector/labels.tsv"
    shown.sprite.image_path = "projector/sprites.png"
    shown.sprite.single_image_dim.extend(thumbnails.shape[-2:])
    write_whole(folder / "projector_config.pbtxt", lambda file: file.write(str(config).encode()))
