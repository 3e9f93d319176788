"""What a user sees after a mistake: one sentence, an exit code, no stack trace, and nothing written."""

import pytest

IN_HYDRA = {
    "model.latentdim=3": "model.latentdim is no setting of model; did you mean latent_dim?",
    "modle=vae": "modle is no setting of this run; did you mean model?",
    "trainer.max_epoch=3": "trainer.max_epoch is no setting of trainer; did you mean max_epochs?",
    "model.encoder.width.x=1": "model.encoder.width.x: model.encoder.width is a value and has no settings",
    "model/network=dcgun": "model/network=dcgun is no option; did you mean dcgan?",
    "model/network=foo": "model/network=foo is no option; allowed: dcgan, iwae, iwae_2l, mlp, points, r3gan, resnet, sngan",
    "model=vea": "model=vea is no option; did you mean vae?",
    "seed=x": "seed: must be a whole number, got 'x'",
    "data.batch_size": "Error parsing override 'data.batch_size'; settings are given as name=value",
    "model/netwrk=mlp": "model/netwrk is no group of options; did you mean model/network?",
    "model.latent_dim=4,8": "model.latent_dim=4,8: several values are a sweep; add -m,"
    " or write a list as model.latent_dim=[4,8]",
    "model/network=mlp,dcgan": "model/network=mlp,dcgan: several values are a sweep; add -m",
    "seed=range(0,3)": "seed=range(0,3): several values are a sweep; add -m",
    "-m model.latent_dim=4,": "model.latent_dim=4,: a value is missing beside a comma;"
    " a sweep's values stand as 4,8, without spaces",
    "-m model.latent_dim=4, 8": "model.latent_dim=4,: a value is missing beside a comma;"
    " a sweep's values stand as 4,8, without spaces",
    "model/optimizer={adam,sgd}": "model/optimizer={adam,sgd}: cannot be read; a value with quotes, brackets or any of"
    " ,:= has to be quoted: \"name='a, b'\"",
    "model=gan model/optimizer=rmsprop": "model/optimizer is no setting of this run; it has"
    " model/optimizer@model.discriminator_optimizer and model/optimizer@model.generator_optimizer",
    "model=vqvae model/loss=iwae": "model/loss is no setting of this run; leave it out: it does not go with model=vqvae,"
    " which has model/likelihood, model/network, model/optimizer, model/prior, model/quantizer, model/scheduler",
}

IN_VALIDATION = {
    "+model.loss.beat=2": "model.loss.beat: no argument of ELBO; did you mean beta?",
    "+foo=1": "foo: no section of a run; allowed: callbacks, channels_last, compile, data, init_from, logger, metrics,"
    " model, name, resume, seed, trainer, usual_epochs",
    "model/loss=hinge": "model.loss: wants a VariationalLoss, got Hinge: choose another option of its group, see --list",
    "model.latent_dim=abc": "model.latent_dim: must be a whole number, got 'abc'",
    "model.encoder.norm=layer": "model.encoder.norm: must be one of batch, group, none, got 'layer'",
    "model.optimizer.betas=[0,0.9]": "model.optimizer.betas: must be a list of 2, each a number or Tensor"
    " (write 0.0, not 0), got [0, 0.9]",
    "model.loss._target_=genlab.objectives.likelihoods.Bernoulli": "model.loss.beta: no argument of Bernoulli;"
    " allowed: binarize\nmodel.loss: wants a VariationalLoss, got Bernoulli: choose another option of its group, see --list",
    "model.encoder._target_=genlab.networks.dcgan.DCGANDecoder": "model.encoder: wants an Encoder, got DCGANDecoder"
    ": choose another option of its group, see --list",
    "seed=-1": "seed: must lie in 0..2^32-1, got -1",
    "data=folder": "data.path: no value; give data.path=...",
    "trainer.max_epochs=many": "trainer.max_epochs: must be a whole number or null, got 'many'",
}

IN_BUILDING = {
    "model.latent_dim=0": "model.latent_dim must be at least 1, got 0",
    "model.loss.beta=-1": "model.loss: beta must be at least 0, got -1",
    "callbacks.ema.half_life=-4": "callbacks.ema.half_life must be above 0, or null for no average, got -4",
    "data.batch_size=0": "data.batch_size must be at least 1, got 0",
    "data.image_size=4": "dcgan needs images of at least 6x6, got 4x4: use model/network=mlp",
    "init_from=nowhere": "nowhere: no such run; give the folder of a run, e.g. one of logs/*, or a .ckpt file",
}


@pytest.mark.parametrize(("mistake", "sentence"), IN_HYDRA.items())
def test_what_hydra_refuses_is_one_sentence_and_exit_code_1(command, tmp_path, mistake, sentence):
    code, out, err = command("train", *mistake.split(" "))
    assert (code, err.strip(), out) == (1, sentence, "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("mistake", "sentence"), IN_VALIDATION.items())
def test_what_validation_refuses_is_told_before_anything_is_written(command, tmp_path, mistake, sentence):
    code, out, err = command("train", mistake)
    assert (code, err.strip(), out) == (2, sentence, "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("mistake", "sentence"), IN_BUILDING.items())
def test_what_a_constructor_refuses_is_one_sentence_and_in_the_log(command, tmp_path, mistake, sentence):
    code, _, err = command("train", mistake)
    assert (code, err.strip()) == (2, sentence)
    (log,) = tmp_path.glob("logs/*/run.log")
    assert sentence in log.read_text() and "Traceback" not in log.read_text()


def test_all_problems_of_a_config_are_told_at_once(command):
    code, _, err = command(
        "train", "model.latent_dim=a", "+model.loss.beat=2", "+foo=1", "trainer.max_epochs=b"
    )
    assert code == 2 and len(err.strip().splitlines()) == 4


def test_a_missing_folder_of_images_is_one_sentence(command):
    code, _, err = command("train", "data=folder", "data.path=no, such=place")
    assert code == 2
    assert err.strip() == "data.path must be a folder of images, but no, such=place is not there"


def test_missing_mnist_names_the_files_their_place_and_the_data_that_needs_none(command, monkeypatch):
    import socket

    def no_network(*args, **kwargs):
        raise OSError("no network in tests")

    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    code, _, err = command("train", "data=mnist", "data.root=store")
    assert code == 2 and len(err.strip().splitlines()) == 1
    for part in (
        "train-images-idx3-ubyte(.gz)",
        "t10k-labels-idx1-ubyte(.gz)",
        "store/MNIST/raw",
        "data=digits",
    ):
        assert part in err


@pytest.mark.parametrize(
    ("mistake", "sentence"),
    {
        "run=nowhere": "nowhere: no such run; give the folder of a run, e.g. one of logs/*, or a .ckpt file",
        "n=0 run=x": "n must be at least 1, got 0",
        "show=sample run=x": "show=sample is not known; did you mean samples?",
        "format=jpg run=x": "format=jpg is not known; did you mean png?",
        "n=50000 format=png run=x": "n=50000 is too much for one picture (2500 at most); "
        "use format=npz, format=pt or single=true",
        "n=3": "run: no value; give run=...",
    }.items(),
)
def test_sample_refuses_in_a_sentence(command, mistake, sentence):
    code, _, err = command("sample", *mistake.split())
    assert (code, err.strip()) == (2, sentence)


def test_evaluate_refuses_in_a_sentence(command):
    code, _, err = command("evaluate", "run=nowhere")
    assert code == 2
    assert (
        err.strip() == "nowhere: no such run; give the folder of a run, e.g. one of logs/*, or a .ckpt file"
    )


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    {
        "evaluate run=x metrics=clasifier": "metrics=clasifier is no option; did you mean classifier?",
        "evaluate run=x metrics=[nll,clasifier]": "metrics=clasifier is no option; did you mean classifier?",
        "evaluate run=x batch_size=few": "batch_size: must be a whole number, got 'few'",
        "sample run=x label=three": "label: must be a whole number, got 'three'",
        "sample run=x temperature=hot": "temperature: must be a number, got 'hot'",
        "sample run=x single=maybe": "single: must be true or false, got 'maybe'",
    }.items(),
)
def test_what_the_root_of_a_verb_refuses_is_told_as_everywhere(command, arguments, sentence):
    code, _, err = command(*arguments.split())
    assert (code, err.strip()) == (1, sentence)


@pytest.mark.parametrize("verb", ["sample", "evaluate"])
def test_a_verb_that_takes_one_run_refuses_a_sweep_and_leaves_no_folder(command, tmp_path, verb):
    code, _, err = command(verb, "-m", "run=a,b")
    assert (code, err.strip()) == (2, f"python {verb}.py takes one run at a time: leave -m out")
    assert list(tmp_path.iterdir()) == []
