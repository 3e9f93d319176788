"""Points in the plane: what is drawn, and that loaders deliver it as they deliver images."""

import numpy as np
import pytest
import torch
from image_files import fails
from recorded_runs import SaveAt, seen, under_trainer

from genlab.contracts import PointBatch
from genlab.data.planes import Grid, Ring, Spiral, TwoMoons
from genlab.data.points import PointData


def ready(points=None, stage=None, **changes):
    settings = {"num_train": 40, "num_val": 10, "num_test": 10, "batch_size": 8} | changes
    data = PointData(points=points or Ring(), **settings)
    data.prepare_data()
    data.setup(stage)
    return data


def everything(loader):
    return torch.cat([batch.point for batch in loader])


def drawn(plane, n=4000):
    return plane.draw(n, np.random.default_rng(0))


def test_the_ring_begins_on_the_right_and_goes_round_evenly():
    # angles 0, 90, 180, 270 degrees on radius 2
    expected = np.array([[2.0, 0.0], [0.0, 2.0], [-2.0, 0.0], [0.0, -2.0]])
    np.testing.assert_allclose(Ring(modes=4, radius=2.0).centers(), expected, atol=1e-12)
    assert Ring().num_classes == 8 and np.allclose(np.linalg.norm(Ring().centers(), axis=1), 1)


def test_the_grid_is_centred_and_its_neighbours_are_one_spacing_apart():
    assert Grid(side=2, spacing=3.0).centers().tolist() == [
        [-1.5, -1.5],
        [-1.5, 1.5],
        [1.5, -1.5],
        [1.5, 1.5],
    ]
    centers = Grid().centers()
    assert centers.shape == (25, 2) and np.unique(centers).tolist() == [-4, -2, 0, 2, 4]


@pytest.mark.parametrize("plane", [Ring(), Grid()], ids=["ring", "grid"])
def test_points_lie_around_the_mode_of_their_label_with_the_sigma_asked_for(plane):
    point, label = drawn(plane, 20_000)
    noise = point - plane.centers()[label]
    # a standard deviation of 40,000 numbers is known to 1 / sqrt(80,000) = .35 %
    assert abs(noise.std() / plane.sigma - 1) < 0.015 and abs(noise.mean()) < 0.03 * plane.sigma
    share = np.bincount(label, minlength=plane.num_classes) / len(label)
    assert np.abs(share * plane.num_classes - 1).max() < 0.15


def test_spiral_arms_wind_outward_each_from_its_own_angle():
    point, arm = drawn(Spiral(arms=2, turns=0.5, radius=2.0, sigma=1e-6))
    radius = np.linalg.norm(point, axis=1)
    # arm 0 at radius r stands at angle pi r / 2, arm 1 on the other side of the origin
    expected = radius[:, None] * np.stack([np.cos(np.pi * radius / 2), np.sin(np.pi * radius / 2)], 1)
    np.testing.assert_allclose(np.where(arm[:, None] == 0, point, -point), expected, atol=1e-4)
    assert radius.max() > 1.99 and radius.max() < 2.001


def test_moons_are_half_circles_centred_on_the_origin():
    point, moon = drawn(TwoMoons(sigma=1e-9))
    # the upper around (-.5, -.25), open below; the lower around (.5, .25), open above
    upper, lower = point[moon == 0] + [0.5, 0.25], point[moon == 1] - [0.5, 0.25]
    np.testing.assert_allclose(np.linalg.norm(np.concatenate([upper, lower]), axis=1), 1, atol=1e-6)
    assert upper[:, 1].min() > -1e-6 and lower[:, 1].max() < 1e-6
    np.testing.assert_allclose(point.mean(0), 0, atol=0.05)


def test_batches_are_float_points_and_their_modes():
    batch = next(iter(ready().train_dataloader()))
    assert isinstance(batch, PointBatch)
    assert batch.point.shape == (8, 2) and batch.point.dtype == torch.float32
    assert batch.label.shape == (8,) and batch.label.dtype == torch.int64
    nearest = torch.cdist(batch.point, ready().centers()).argmin(1)
    assert torch.equal(nearest, batch.label)


def test_points_depend_on_their_own_seed_alone_and_splits_are_different_draws():
    first = ready(seed=1)
    assert torch.equal(everything(first.val_dataloader()), everything(ready(seed=2).val_dataloader()))
    other = ready(draw_seed=1)
    assert not torch.equal(everything(first.val_dataloader()), everything(other.val_dataloader()))
    splits = [
        everything(first.val_dataloader()),
        everything(first.test_dataloader()),
        everything(first.train_dataloader())[:10],
    ]
    rows = torch.cat(splits).tolist()
    assert len({tuple(row) for row in rows}) == 30


def test_every_training_point_comes_once_an_epoch_in_another_order():
    loader = ready().train_dataloader()
    epochs = []
    for epoch in (0, 1):
        loader.order.set_epoch(epoch)
        epochs.append(everything(loader).tolist())
    assert len(epochs[0]) == 40 and epochs[0] != epochs[1] and sorted(epochs[0]) == sorted(epochs[1])


def fit(path=None, callbacks=()):
    return seen(ready(), lambda batch: batch.point, path, callbacks)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("step", [3, 5, 8])
def test_a_resumed_run_sees_exactly_the_batches_that_were_left(step, tmp_path):
    whole = fit(callbacks=[SaveAt(tmp_path / "at.ckpt", step=step)])
    assert len(whole) == 10
    assert fit(str(tmp_path / "at.ckpt")) == whole[step:]


def share(**settings):
    return under_trainer(ready(), **settings).train_dataloader()


def test_overfitting_sees_the_same_batches_each_epoch():
    loader = share(overfit_batches=2)
    first = everything(loader)
    loader.order.set_epoch(1)
    assert torch.equal(everything(loader), first)


def test_processes_share_the_points_of_an_epoch_among_themselves():
    parts = [everything(share(global_rank=rank, world_size=2)) for rank in (0, 1)]
    assert [len(part) for part in parts] == [16, 16]  # 40 points: two full batches of 8 on each
    assert len({tuple(row) for row in torch.cat(parts).tolist()}) == 32


def test_the_facts_tell_modes_where_there_are_some():
    facts = ready(Ring(modes=3)).facts()
    assert (facts["num_features"], facts["num_classes"], facts["sigma"]) == (2, 3, 0.01)
    assert facts["class_names"] == ["0", "1", "2"] and len(facts["centers"]) == 3
    facts = ready(TwoMoons()).facts()
    assert (facts["num_classes"], facts["centers"], facts["sigma"]) == (2, None, None)


def test_a_stage_draws_only_its_own_points():
    data = ready(stage="fit")
    fails("no test points are drawn yet; call setup() first", data.test_dataloader)


def test_wrong_settings_are_told_in_a_sentence():
    fails("data.num_val must be at least 1, got 0", lambda: ready(num_val=0))
    fails("data.points.sigma must be above 0, got 0.0", lambda: Ring(sigma=0.0))
    fails("data.points.side must be at least 1, got 0", lambda: Grid(side=0))
    fails(
        "data.num_classes says 9 but the points have 8; give data.num_classes=8", lambda: ready(num_classes=9)
    )
    fails(
        "data.class_names lists 1 names for 8 classes; list one for each, or give data.class_names=null",
        lambda: ready(class_names=["a"]),
    )
    fails(
        "data.batch_size 64 on 1 process needs 64 training points, there are 40; give more by"
        " data.num_train, or data.drop_last=false",
        lambda: ready(batch_size=64).train_dataloader(),
    )
