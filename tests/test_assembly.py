from pytorch_lightning import Callback

from genlab import assembly
from genlab.config import compose


class Counts(Callback):
    def __init__(self) -> None:
        self.ends = 0

    def on_train_batch_end(self, *args) -> None:
        self.ends += 1


def test_hooks_that_a_callback_defines_are_called_and_the_others_are_spared(tmp_path):
    counts = Counts()
    assembly.spare_empty_hooks([counts])
    assert counts.on_before_backward is None and callable(counts.on_train_batch_end)
    cfg = compose(["model/network=mlp", "trainer=cpu", "debug=fast", "logger=none"])
    parts = assembly.assemble(cfg, tmp_path)
    parts.trainer.callbacks.append(counts)
    assembly.fit(parts, None)
    assert counts.ends == 6


def test_facts_of_the_data_are_written_into_the_config_where_they_are_null(tmp_path):
    cfg = compose(["data.num_classes=null", "data.class_names=null"])
    assembly.read_data(cfg, tmp_path)
    assert cfg.data.num_classes == 10 and len(cfg.data.class_names) == 10


def test_fused_optimizers_are_switched_off_under_half_precision_and_the_user_is_told(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    cfg = compose(["trainer.precision=16-mixed"])
    (note,) = assembly.settle(cfg)
    assert (
        note == "model.optimizer.fused is off: under 16-mixed gradients are unscaled outside of the optimizer"
    )
    assert cfg.model.optimizer.fused is False


def test_a_text_that_looks_like_an_interpolation_arrives_as_it_is():
    from genlab.config import build

    told = build({"_target_": "builtins.dict", "path": r"a${b}\${c}", "plain": "d"}, path="data")
    assert told == {"path": r"a${b}\${c}", "plain": "d"}
