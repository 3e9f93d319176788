"""Both loaders against each other, and under a real Trainer that is stopped and resumed."""

import pytest
import pytorch_lightning as pl
import torch
from image_files import numbered_data, numbers
from recorded_runs import SaveAt

KINDS = [
    pytest.param({}, id="memory"),
    pytest.param({"streamed": True}, id="streamed"),
    pytest.param({"streamed": True, "num_workers": 2}, id="streamed_by_workers"),
]


def drawn(loader):
    return [numbers(batch.image) for batch in loader]


@pytest.mark.parametrize("kind", KINDS)
def test_batches_are_uint8_images_and_their_labels(kind):
    batch = next(iter(numbered_data(**kind).train_dataloader()))
    assert batch.image.dtype == torch.uint8 and batch.label.dtype == torch.int64
    assert batch.image.shape == (4, 1, 2, 2)
    assert batch.label.tolist() == [row % 5 for row in numbers(batch.image)]


@pytest.mark.parametrize("kind", KINDS[1:])
def test_streamed_batches_are_those_of_memory(kind):
    held, streamed = numbered_data(), numbered_data(**kind)
    for a, b in [
        (held.train_dataloader(), streamed.train_dataloader()),
        (held.val_dataloader(), streamed.val_dataloader()),
    ]:
        for epoch in (0, 1):
            a.order.set_epoch(epoch)
            b.order.set_epoch(epoch)
            pairs = list(zip(a, b, strict=True))
            assert len(pairs) == len(a) == len(b) > 0
            for one, other in pairs:
                torch.testing.assert_close(one.image, other.image, rtol=0, atol=0)
                torch.testing.assert_close(one.label, other.label, rtol=0, atol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_loading_leaves_the_global_random_stream_alone(kind):
    loader = numbered_data(**kind).train_dataloader()
    before = torch.get_rng_state()
    drawn(loader)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("kind", KINDS)
def test_batches_are_counted_when_they_are_delivered_not_when_they_are_read_ahead(kind):
    loader = numbered_data(**kind).train_dataloader()
    iterator = iter(loader)
    assert loader.state_dict() == {"epoch": 0, "done": 0, "rows_a_batch": loader.batch_sampler.batch_size}
    next(iterator)
    next(iterator)
    assert loader.state_dict() == {"epoch": 0, "done": 2, "rows_a_batch": loader.batch_sampler.batch_size}


@pytest.mark.parametrize("kind", KINDS)
def test_an_epoch_that_was_left_halfway_does_not_leak_into_the_next(kind):
    loader = numbered_data(**kind).train_dataloader()
    whole = drawn(loader)
    next(iter(loader))
    assert drawn(loader) == whole


class Recorder(pl.LightningModule):
    """Trains nothing and writes down which images it is given, by epoch."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.seen, self.validated = [], []

    def training_step(self, batch, batch_idx):
        assert batch.image.is_floating_point()
        self.seen.append((self.current_epoch, numbers(batch.image)))
        return (self.weight * batch.image.mean()).sum()

    def validation_step(self, batch, batch_idx):
        self.validated.append(numbers(batch.image))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def fit(data, path=None, callbacks=(), **settings):
    module = Recorder()
    trainer = pl.Trainer(
        max_epochs=3,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        callbacks=list(callbacks),
        **settings,
    )
    trainer.fit(module, datamodule=data, ckpt_path=path, weights_only=True if path else None)
    return module


MOMENTS = [("on_train_batch_end", step) for step in (1, 5, 7, 10, 14)] + [
    ("on_validation_end", 7),
    ("on_train_epoch_end", 7),
    ("on_train_epoch_end", 14),
]


CASES = [
    pytest.param(kind.values[0], *moment, id="-".join(map(str, (kind.id, *moment))))
    for kind in KINDS
    for moment in (MOMENTS if kind is not KINDS[2] else [MOMENTS[1], MOMENTS[-1]])
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("kind", "hook", "step"), CASES)
def test_a_resumed_run_sees_exactly_the_batches_that_were_left(kind, hook, step, tmp_path):
    path = tmp_path / "at.ckpt"
    whole = fit(numbered_data(**kind), callbacks=[SaveAt(path, hook=hook, step=step)])
    assert len(whole.seen) == 3 * 7  # 30 training images in full batches of 4
    assert len({tuple(batch) for _, batch in whole.seen}) == 21
    again = fit(numbered_data(**kind), str(path))
    assert again.seen == whole.seen[step:]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("settings", "steps"),
    [
        pytest.param({"limit_train_batches": 5}, 15, id="epochs cut short"),
        pytest.param({"val_check_interval": 2}, 21, id="validation within epochs"),
        pytest.param({"max_steps": 19}, 19, id="length in steps"),
        pytest.param({"limit_val_batches": 0}, 21, id="no validation"),
    ],
)
@pytest.mark.parametrize("step", [3, 8, 10])
def test_a_resume_is_exact_under_other_settings_of_the_trainer(settings, steps, step, tmp_path):
    path = tmp_path / "at.ckpt"
    whole = fit(numbered_data(), callbacks=[SaveAt(path, hook="on_train_batch_end", step=step)], **settings)
    again = fit(numbered_data(), str(path), **settings)
    assert len(whole.seen) == steps
    assert again.seen == whole.seen[step:]


@pytest.mark.parametrize("kind", KINDS[:2])
def test_overfitting_sees_the_same_batches_each_epoch_and_is_not_warned_of_shuffling(kind, recwarn):
    module = fit(numbered_data(**kind), overfit_batches=2)
    assert len(module.seen) == 6
    assert [batch for _, batch in module.seen] == [batch for _, batch in module.seen[:2]] * 3
    assert not [w for w in recwarn if "overfit" in str(w.message)]


@pytest.mark.filterwarnings("ignore")
def test_validation_sees_each_validation_image_once_and_in_one_order():
    data = numbered_data()
    module = fit(data)
    once = [row for batch in module.validated[:3] for row in batch]
    assert len(set(once)) == len(once) == 10
    assert module.validated == module.validated[:3] * 3
    assert not set(once) & {row for _, batch in module.seen for row in batch}


@pytest.mark.filterwarnings("ignore")
def test_half_and_double_precision_reach_the_model():
    for precision, dtype in (("bf16-true", torch.bfloat16), ("64-true", torch.float64)):
        kinds = []

        class Kind(pl.Callback):
            def on_train_batch_start(self, trainer, module, batch, batch_idx, kinds=kinds):
                kinds.append(batch.image.dtype)

        fit(numbered_data(), callbacks=[Kind()], precision=precision, limit_train_batches=1)
        assert set(kinds) == {dtype}
