"""The variational family with labels, with other priors, and with a second stochastic layer."""

from functools import partial
from itertools import product

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from conftest import ROOT
from genlab.config import build, compose
from genlab.contracts import ClassSampler, ImageBatch
from genlab.errors import UserError
from genlab.models.vae import VAE
from genlab.networks.mlp import MLPDecoder, MLPEncoder
from genlab.objectives.bounds import ELBO
from genlab.objectives.gaussians import log_normal
from genlab.objectives.likelihoods import Bernoulli
from genlab.objectives.priors import Learned, Mixture, Prior, Standard
from genlab.schedules import Constant


def vae(prior: type[Prior] = Standard, **settings) -> VAE:
    torch.manual_seed(0)
    return VAE(
        encoder=partial(MLPEncoder, image_shape=[1, 8, 8], hidden=[16], activation="tanh"),
        decoder=partial(MLPDecoder, image_shape=[1, 8, 8], hidden=[16], activation="tanh"),
        likelihood=Bernoulli(),
        loss=ELBO(),
        optimizer=torch.optim.Adam,
        scheduler=Constant(),
        image_shape=[1, 8, 8],
        latent_dim=3,
        prior=prior,
        **settings,
    )


def conditional(prior: type[Prior] = Standard) -> VAE:
    return vae(prior, conditional=True, embedding=4, num_classes=5)


@pytest.fixture
def image() -> Tensor:
    return torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(1)) * 2 - 1


LABEL = torch.tensor([0, 1, 2, 3, 4, 0])


def test_the_class_reaches_encoder_and_decoder(image):
    model = conditional()
    assert not torch.allclose(model.encode(image, 1), model.encode(image, 2))
    z = torch.randn(6, 3)
    assert not torch.allclose(model.decode(z, 1), model.decode(z, 2))
    assert_close(model.encode(image, LABEL)[3:4], model.encode(image[3:4], 3))
    assert_close(model.decode(z, LABEL)[4:5], model.decode(z[4:5], 4))


def test_a_reconstruction_is_made_under_the_images_own_class(image):
    model, label = conditional(), LABEL.flip(0)
    assert_close(model.reconstruct(image, label), model.decode(model.encode(image, label), label))


def test_samples_are_of_the_class_asked_for_at_equal_latents():
    model = conditional()
    assert isinstance(model, ClassSampler)
    with torch.random.fork_rng():
        torch.manual_seed(7)
        z = torch.randn(6, 3)
    assert_close(model.sample(6, seed=7, label=3), model.decode(z, 3))
    assert_close(model.sample(6, seed=7), model.decode(z, LABEL))
    assert model.classes_of(6).tolist() == LABEL.tolist()
    assert model.classes_of(2, 4).tolist() == [4, 4]


def test_samples_of_a_learned_prior_are_drawn_around_the_mean_of_their_class():
    model = conditional(Learned)
    with torch.no_grad():
        model.prior.mean[3] = 5.0
        model.prior.log_var[3] = -100.0
    assert_close(model.sample(2, seed=0, label=3), model.decode(torch.full((2, 3), 5.0), 3))
    assert not model.spherical and conditional().spherical


@pytest.mark.parametrize("prior", [Standard, Learned, Mixture])
def test_the_terms_are_those_of_the_images_own_class(image, prior):
    model = conditional(prior)
    with torch.no_grad():
        for parameter in model.prior.parameters():
            parameter.normal_()
    torch.manual_seed(3)
    terms = model.terms(ImageBatch(image, LABEL), samples=2, densities=True)
    torch.manual_seed(3)
    target = model.likelihood.target(image)
    mean, log_var = model.posterior(model.likelihood.as_image(target), LABEL)
    assert_close(terms.mean, mean)
    assert_close(terms.log_q, log_normal(terms.z, mean, log_var).sum(-1))
    assert_close(terms.log_p, model.prior.log_prob(terms.z, LABEL))
    for k in range(2):
        expected = model.likelihood.log_prob(model.params(terms.z[k], LABEL), target)
        assert_close(terms.log_px[k], expected)
    kl = model.prior.kl(mean, log_var, LABEL)
    assert_close(terms.divergence, terms.log_q - terms.log_p if kl is None else kl.sum(1))


def test_log_prob_is_the_mean_of_importance_weights_of_the_class(image):
    model = conditional(Learned)
    with torch.no_grad():
        model.prior.mean.normal_()
    torch.manual_seed(4)
    found = model.log_prob(image, LABEL, samples=5)
    torch.manual_seed(4)
    terms = model.terms(ImageBatch(image, LABEL), samples=5, densities=True)
    assert_close(found, (terms.log_px + terms.log_p - terms.log_q).exp().mean(0).log())


def test_what_is_judged_has_the_prior_of_the_class_in_it(image):
    model = conditional(Learned)
    logged: dict[str, Tensor] = {}
    model.log_dict = lambda values, **_: logged.update(values)  # type: ignore[method-assign]
    losses = []
    for far in (0.0, 3.0):
        model.prior.mean.data.fill_(far)
        torch.manual_seed(5)
        model.validation_step(ImageBatch(image, LABEL), 0)
        losses.append(logged["val/loss"] - logged["val/reconstruction"])
    assert losses[1] > losses[0] + 5  # three dimensions, each 3 away: about 13 nats more


def test_without_labels_nothing_is_added_to_the_weights():
    assert not [name for name in vae().state_dict() if name.startswith(("labels", "prior"))]
    assert set(vae().sampling_modules()) == {"encoder", "decoder", "output", "likelihood"}
    assert set(conditional(Learned).sampling_modules()) - set(vae().sampling_modules()) == {"labels", "prior"}


def test_a_class_is_wanted_where_there_are_classes_and_refused_where_there_are_none(image):
    for use in ("encode", "reconstruct", "log_prob"):
        with pytest.raises(
            UserError, match="^this model is conditional: give the class of each image, label=...$"
        ):
            getattr(conditional(), use)(image)
        with pytest.raises(UserError, match="^this model knows no classes: it was trained without labels$"):
            getattr(vae(), use)(image, 3)
    with pytest.raises(UserError, match="^label must be from 0 to 4, got 5$"):
        conditional().sample(2, label=5)


def test_settings_that_cannot_be_are_refused_in_a_sentence():
    for num_classes, has in ((None, "no classes"), (1, "a single class")):
        sentence = f"^model.conditional=true needs labels, and this data has {has}: use model=vae$"
        with pytest.raises(UserError, match=sentence):
            vae(conditional=True, num_classes=num_classes)
    with pytest.raises(UserError, match="^model.embedding must be at least 1, got 0$"):
        vae(conditional=True, num_classes=5, embedding=0)


def options(group: str) -> list[str]:
    files = sorted((ROOT / "conf" / "model" / group).glob("*.yaml"))
    names = [
        f.stem
        for f in files
        if "genlab.objectives." in (text := f.read_text()) and ".adversarial." not in text
    ]
    assert names, group
    return names


NEEDS_CLOSED_FORM = {"capacity", "free_bits", "beta_tc"}
NO_CLOSED_FORM = {"mixture", "vamp", "second_layer"}
REFUSED = {(loss, prior) for loss in NEEDS_CLOSED_FORM for prior in NO_CLOSED_FORM} | {("beta_tc", "learned")}


@pytest.mark.parametrize("model", ["vae", "cvae"])
@pytest.mark.parametrize(("loss", "prior"), list(product(options("loss"), options("prior"))))
def test_every_loss_and_prior_train_every_weight_or_are_refused_in_a_sentence(loss, prior, model):
    cfg = compose([f"model={model}", f"model/loss={loss}", f"model/prior={prior}", "model/network=mlp",
                   "data.image_size=8", "model.encoder.hidden=[8]", "model.decoder.hidden=[8]"])  # fmt: skip
    torch.manual_seed(0)
    if (loss, prior) in REFUSED or (model, prior) in {("vae", "learned"), ("cvae", "vamp")}:
        with pytest.raises(UserError) as error:
            build(cfg.model, path="model")
        assert "\n" not in str(error.value) and "model/prior=" in str(error.value)
        return
    found = build(cfg.model, path="model")
    batch = ImageBatch(torch.rand(12, 1, 8, 8) * 2 - 1, torch.arange(12) % 10)
    told = found.training_step(batch, 0)
    told["loss"].backward()
    assert all(torch.isfinite(value).all() for value in told.values())
    silent = [name for name, p in found.named_parameters() if p.grad is None or not p.grad.any()]
    assert (
        silent == []
        or (loss, prior) == ("free_bits", "learned")
        and set(silent) <= {"prior.mean", "prior.log_var"}
    )
    assert found.sample(3, seed=0).shape == (3, 1, 8, 8)


def test_a_prior_that_encodes_beside_batch_norm_is_doubted_aloud():
    def notes(*choice):
        return build(compose([*choice, "data.image_size=16"]).model, path="model").notes

    assert notes("model/prior=vamp") == [
        "Vamp encodes images of its own, and batch norm takes their mean for that of the data: "
        "model.encoder.norm=group suits it better"
    ]
    assert notes("model/prior=vamp", "model.encoder.norm=group") == notes("model/prior=mixture") == []


@pytest.mark.parametrize("network", ["mlp", "dcgan", "resnet", "iwae", "iwae_2l"])
def test_every_network_takes_labels(network):
    cfg = compose(["model=cvae", f"model/network={network}", "data.image_size=12"])
    model = build(cfg.model, path="model")
    batch = ImageBatch(torch.rand(12, 1, 12, 12) * 2 - 1, torch.arange(12) % 10)
    model.training_step(batch, 0)["loss"].backward()
    assert not [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert model.sample(2, seed=0, label=3).shape == (2, 1, 12, 12)


def test_the_presets_of_the_iwae_paper_are_its_networks():
    one = build(compose(["model/network=iwae", "data=mnist", "model.latent_dim=50"]).model, path="model")
    two = build(compose(["model/network=iwae_2l", "data=mnist", "model.latent_dim=100"]).model, path="model")

    def widths(network):
        return [
            (layer.in_features, layer.out_features)
            for layer in network.layers
            if hasattr(layer, "in_features")
        ]

    assert widths(one.encoder) == [(784, 200), (200, 200), (200, 100)]
    assert widths(one.decoder) == [(50, 200), (200, 200), (200, 784)]
    assert widths(two.encoder) == [(784, 200), (200, 200), (200, 200)]
    assert widths(two.prior.inference) == [(100, 100), (100, 100), (100, 100)]
    assert widths(two.prior.generation) == [(50, 100), (100, 100), (100, 200)]
    assert widths(two.decoder) == [(100, 200), (200, 200), (200, 784)]


def test_fully_connected_encoders_are_told_a_class_by_one_number_of_its_channel():
    encoder = build(compose(["model=cvae", "model/network=iwae", "data=mnist"]).model, path="model").encoder
    assert encoder.layers[0].in_features == 784 + 10
    images, which = torch.rand(3, 1, 28, 28), torch.tensor([0, 4, 9])
    channels = torch.nn.functional.one_hot(which, 10)[:, :, None, None].expand(-1, -1, 28, 28).float()
    plain = torch.cat([images.flatten(1), torch.eye(10)[which]], dim=1)
    torch.testing.assert_close(encoder(torch.cat([images, channels], dim=1)), encoder.layers(plain))
