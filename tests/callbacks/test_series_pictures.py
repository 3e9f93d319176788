"""What is drawn of series: which ones, in which units, when, and nothing of text."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from callback_stubs import quiet_trainer
from pytorch_lightning import LightningModule
from torch import nn

from genlab.callbacks import series_pictures
from genlab.callbacks.series_pictures import SeriesMap, SeriesPanels
from genlab.codecs.scale import Scale
from genlab.data.series import as_batch
from genlab.data.sines import SineData
from genlab.errors import UserError
from genlab.sequence_contracts import SequenceBatch


class Constant(LightningModule):
    """Its samples are 1/2 everywhere, at first; each epoch adds 1."""

    def __init__(self, shape=(6, 2)) -> None:
        super().__init__()
        self.weight, self.shape = nn.Parameter(torch.zeros(1)), shape
        self.asked: list[tuple[int, int | None]] = []

    def training_step(self, batch, batch_idx):
        return self.weight.sum()

    def validation_step(self, batch, batch_idx):
        pass

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)

    def sampling_modules(self):
        return {}

    def sample(self, n, *, seed=None):
        self.asked.append((n, seed))
        return torch.full((n, *self.shape), 0.5 + self.trainer.current_epoch)


def data(**changes):
    made = SineData(
        num_features=2,
        sequence_length=6,
        num_train=8,
        num_val=40,
        num_test=1,
        batch_size=8,
        columns=["a", "b"],
    )
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def fit(folder: Path, callback, model=None, datamodule=None, **settings) -> list[str]:
    trainer = quiet_trainer(folder, [callback], logger=False, **{"max_epochs": 2} | settings)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("warnings.warn", lambda *args, **more: None)
        trainer.fit(model or Constant(), datamodule=datamodule or data())
    return sorted(path.name for path in folder.glob("samples/*"))


@pytest.fixture
def drawn(monkeypatch):
    """What the pictures are made of, call by call."""
    calls = {"series_panels": [], "clouds": [], "image_grid": []}
    for name, kept in calls.items():
        real = getattr(series_pictures, name)

        def spy(*args, real=real, kept=kept):
            kept.append(args)
            return real(*args)

        monkeypatch.setattr(series_pictures, name, spy)
    return SimpleNamespace(**calls)


def first_real(datamodule, epochs, n):
    """Those of the first batches of training."""
    datamodule.setup("fit")
    loader = datamodule.train_dataloader()
    seen = []
    for epoch in range(epochs):
        loader.batch_sampler.set_epoch(epoch)
        seen += [batch.target for batch in loader]
    return torch.cat(seen)[:n]


def test_samples_stand_beside_the_first_series_that_are_learned_from(tmp_path, drawn):
    model = Constant()
    datamodule = SineData(
        num_features=2, sequence_length=6, num_train=40, num_val=8, num_test=1, batch_size=8
    )
    datamodule.columns = ["a", "b"]
    files = fit(tmp_path, SeriesPanels(n=10, seed=3), model, datamodule, num_sanity_val_steps=2)
    assert files == ["series_epoch_0001.png", "series_epoch_0002.png"]
    assert model.asked == [(10, 3), (10, 3)]
    for real, fake, names in drawn.series_panels:
        torch.testing.assert_close(real, first_real(datamodule, 1, 10).double())
        assert fake.shape == (10, 6, 2) and names == ["a", "b"]


def test_values_are_drawn_in_the_users_units(tmp_path, drawn):
    codec = Scale(["a", "b"], "minmax", torch.tensor([100.0, 0.0]), torch.tensor([10.0, 1.0]))
    fit(tmp_path, SeriesPanels(n=2), datamodule=data(codec=codec), max_epochs=1)
    real, fake, _ = drawn.series_panels[0]
    torch.testing.assert_close(real[..., 0], 100 + 10 * first_real(data(), 1, 2)[..., 0].double())
    assert fake[..., 0].unique().tolist() == [105] and fake[..., 1].unique().tolist() == [0.5]


def test_rows_of_images_are_drawn_as_images(tmp_path, drawn):
    assert fit(tmp_path, SeriesPanels(images=5), datamodule=data(rows_of_images=True), max_epochs=1) == [
        "samples_epoch_0001.png"
    ]
    assert drawn.image_grid[0][0].shape == (5, 1, 6, 2)
    assert drawn.image_grid[0][0].unique().tolist() == [0]  # 1/2 of 0..1 is 0 of -1..1
    assert fit(tmp_path / "map", SeriesMap(n=10), datamodule=data(rows_of_images=True), max_epochs=1) == []


def test_pictures_come_every_so_many_epochs_and_in_the_last(tmp_path):
    assert fit(tmp_path, SeriesPanels(n=1, every_n_epochs=2), max_epochs=3) == [
        "series_epoch_0002.png",
        "series_epoch_0003.png",
    ]
    assert fit(tmp_path / "map", SeriesMap(n=10, every_n_epochs=2), max_epochs=3) == [
        "series_map_epoch_0002.png",
        "series_map_epoch_0003.png",
    ]


def test_the_map_is_that_of_the_last_validation_whichever_limit_ends_the_training(tmp_path, drawn):
    model = Constant()
    assert fit(tmp_path, SeriesMap(n=20, seed=4), model, max_epochs=5, max_steps=2) == [
        "series_map_epoch_0002.png"
    ]
    assert model.asked == [(8, 4), (16, 4)]  # as many as there are real ones so far
    panels = drawn.clouds[0][0]
    assert list(panels) == ["PCA", "t-SNE"] and len(drawn.clouds) == 1
    mean, profile = first_real(data(), 2, 16).double().mean(2).mean(0), torch.full((6,), 1.5).double()
    # all samples lie in one place, as far from the real ones' mean as components allow
    places = panels["PCA"][1]
    assert places.shape == (16, 2) and (places - places[0]).abs().max() < 1e-6
    assert 0 < places[0].norm() <= (profile - mean).norm() + 1e-6


def test_samples_that_are_not_finite_are_left_out_of_the_map(tmp_path, drawn):
    class Diverged(Constant):
        def sample(self, n, *, seed=None):
            return super().sample(n, seed=seed) * torch.nan

    assert fit(tmp_path, SeriesMap(n=20), Diverged()) == ["series_map_epoch_0002.png"]
    assert drawn.clouds[0][0]["t-SNE"][1].shape == (0, 2)
    assert fit(tmp_path / "panels", SeriesPanels(n=2), Diverged(), max_epochs=1) == ["series_epoch_0001.png"]


class Text(SineData):
    """Gives tokens."""

    def on_before_batch_transfer(self, batch, dataloader_idx):
        token = torch.zeros(batch.target.shape[:2], dtype=torch.int64)
        return SequenceBatch(token, token, None, batch.label, batch.begins)


@pytest.mark.parametrize("callback", [SeriesPanels(), SeriesMap()], ids=["panels", "map"])
def test_of_text_nothing_is_drawn_and_nothing_sampled(tmp_path, callback):
    model = Constant()
    assert fit(tmp_path, callback, model, Text(num_train=8, num_val=8, num_test=1, batch_size=8)) == []
    assert model.asked == []


def test_series_without_names_are_numbered():
    batch = as_batch(torch.rand(3, 4, 2), torch.zeros(3))
    first = series_pictures.FirstSeries(2)
    assert first.take() is None
    first.add(batch)
    first.add(batch)
    taken = first.take()
    assert taken is not None and torch.equal(taken, batch.target[:2]) and torch.equal(first.take(), taken)
    again = series_pictures.FirstSeries(1)
    again.restore(taken)
    again.add(batch)
    assert torch.equal(again.take(), batch.target[:1])
    assert series_pictures._names(SimpleNamespace(datamodule=None), 2) == ["column_1", "column_2"]


@pytest.mark.parametrize("callback", [SeriesPanels, SeriesMap])
def test_after_a_resume_the_real_series_are_those_of_before(callback):
    batch, before, after = as_batch(torch.rand(3, 4, 2), torch.zeros(3)), callback(), callback()
    assert before.state_dict() == {"first": None}
    before.on_train_batch_end(None, None, None, batch, 0)
    after.load_state_dict(before.state_dict())
    assert torch.equal(after._first.take(), batch.target)


def test_wrong_settings_and_models_are_told_in_a_sentence():
    for make, sentence in {
        lambda: SeriesPanels(n=0): "callbacks.series_panels.n must be at least 1, got 0",
        lambda: SeriesPanels(images=0): "callbacks.series_panels.images must be at least 1, got 0",
        lambda: SeriesMap(n=9): "callbacks.series_map.n must be at least 10, got 9",
        lambda: SeriesMap(every_n_epochs=0): "callbacks.series_map.every_n_epochs must be at least 1, got 0",
        lambda: SeriesMap().setup(None, LightningModule(), "fit"): (
            "SeriesMap needs a Sampler, and LightningModule has no sample and no sampling_modules: set this callback"
            " to null"
        ),
    }.items():
        with pytest.raises(UserError) as error:
            make()
        assert str(error.value) == sentence
