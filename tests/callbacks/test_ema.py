from pathlib import Path
from typing import Any

import pytest
import torch
from callback_stubs import TinyModel, quiet_trainer, run
from pytorch_lightning import Callback, LightningModule
from torch import Tensor, nn

from genlab.callbacks.checkpoints import Checkpoints
from genlab.callbacks.ema import EMA
from genlab.errors import UserError


class History(Callback):
    """The decoder's bias after each step, and the one that validation saw."""

    def __init__(self) -> None:
        self.live: list[Tensor] = []
        self.validated: list[Tensor] = []

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *args: Any) -> None:
        self.live.append(pl_module.decoder.bias.detach().clone())

    def on_validation_batch_start(self, trainer: Any, pl_module: Any, *args: Any) -> None:
        self.validated.append(pl_module.decoder.bias.detach().clone())


def closed_form(weights: list[Tensor], start: Tensor, images: list[int], half_life: float) -> Tensor:
    average, seen = start.double(), 0
    for weight, count in zip(weights, images, strict=True):
        seen += count
        decay = 0.5 ** (count / min(half_life, 0.05 * seen))
        average = decay * average + (1 - decay) * weight.double()
    return average


@pytest.mark.parametrize("half_life", [1.0, 20.0])
def test_the_average_is_its_closed_form(half_life: float, tmp_path: Path) -> None:
    history, start = History(), TinyModel().decoder.bias.detach().clone()
    callbacks = [EMA(half_life), history, Checkpoints()]
    model = run(quiet_trainer(tmp_path, callbacks, logger=False, max_epochs=2))
    images = [4, 4, 4, 4, 4, 4, 2] * 2  # 26 images in batches of 4
    expected = closed_form(history.live, start, images, half_life).float()
    content = torch.load(tmp_path / "checkpoints" / "last.ckpt")
    torch.testing.assert_close(content["ema"]["decoder"]["bias"], expected, rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(history.validated[-1], expected, rtol=1e-5, atol=1e-7)
    assert torch.equal(content["state_dict"]["decoder.bias"], history.live[-1])
    assert torch.equal(model.decoder.bias.detach(), history.live[-1])
    assert not torch.equal(history.validated[-1], history.live[-1])


def test_under_accumulation_a_step_counts_all_its_images(tmp_path: Path) -> None:
    history, start = History(), TinyModel().decoder.bias.detach().clone()
    settings: dict[str, Any] = {"logger": False, "max_epochs": 1, "accumulate_grad_batches": 2}
    run(quiet_trainer(tmp_path, [EMA(2.0), history, Checkpoints()], **settings))
    expected = closed_form(history.live[1::2] + history.live[-1:], start, [8, 8, 8, 2], 2.0).float()
    saved = torch.load(tmp_path / "checkpoints" / "last.ckpt")["ema"]["decoder"]["bias"]
    torch.testing.assert_close(saved, expected, rtol=1e-5, atol=1e-7)


def test_the_shadow_loads_into_its_modules_with_the_live_buffers(tmp_path: Path) -> None:
    model = run(quiet_trainer(tmp_path, [EMA(20.0), Checkpoints()], logger=False, max_epochs=1))
    shadow = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)["ema"]
    fresh = TinyModel()
    for name, module in fresh.sampling_modules().items():
        module.load_state_dict(shadow[name])
    assert torch.equal(fresh.encoder[2].running_mean, model.encoder[2].running_mean)
    assert fresh.encoder[2].num_batches_tracked == 7


def test_without_a_half_life_there_is_no_average(tmp_path: Path) -> None:
    history = History()
    run(quiet_trainer(tmp_path, [EMA(None), history, Checkpoints()], logger=False, max_epochs=1))
    assert "ema" not in torch.load(tmp_path / "checkpoints" / "last.ckpt")
    assert torch.equal(history.validated[-1], history.live[-1])


def test_testing_sees_the_average_and_leaves_the_live_weights(tmp_path: Path) -> None:
    class Tested(TinyModel):
        def test_step(self, batch: Any, batch_idx: int) -> None:
            self.tested = self.decoder.bias.detach().clone()

    history, model = History(), Tested()
    trainer = quiet_trainer(tmp_path, [EMA(20.0), history], logger=False, max_epochs=1)
    run(trainer, model)
    trainer.test(model, trainer.val_dataloaders, verbose=False)
    assert torch.equal(model.tested, history.validated[-1])
    assert torch.equal(model.decoder.bias.detach(), history.live[-1])


def test_weights_that_modules_share_are_averaged_once(tmp_path: Path) -> None:
    class Sharing(TinyModel):
        def sampling_modules(self) -> dict[str, nn.Module]:
            return {"decoder": self.decoder, "again": self.decoder}

    history = History()
    model = run(quiet_trainer(tmp_path, [EMA(20.0), history], logger=False, max_epochs=1), Sharing())
    assert torch.equal(model.decoder.bias.detach(), history.live[-1])
    assert not torch.equal(history.validated[-1], history.live[-1])


def test_an_exception_in_validation_brings_the_live_weights_back(tmp_path: Path) -> None:
    class Breaks(TinyModel):
        def on_validation_epoch_end(self) -> None:
            raise RuntimeError("broken")

    history, model = History(), Breaks()
    with pytest.raises(RuntimeError, match="broken"):
        run(quiet_trainer(tmp_path, [EMA(20.0), history], logger=False, max_epochs=1), model)
    assert torch.equal(model.decoder.bias.detach(), history.live[-1])


def test_a_model_without_sampling_modules_is_refused(tmp_path: Path) -> None:
    class Bare(LightningModule):
        pass

    with pytest.raises(UserError) as error:
        EMA(3.0).setup(None, Bare(), "fit")  # type: ignore[arg-type]
    assert str(error.value) == (
        "callbacks.ema.half_life must be null for Bare, which has no sample and no sampling_modules, got 3.0"
    )


def test_a_half_life_of_zero_is_refused() -> None:
    with pytest.raises(UserError) as error:
        EMA(0.0)
    assert str(error.value) == "callbacks.ema.half_life must be above 0, or null for no average, got 0.0"
