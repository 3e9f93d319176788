from collections.abc import Iterator
from pathlib import Path

import pytest
from sweep_folders import finished, make_job

from genlab.errors import UserError
from genlab.run_folder import FolderLock
from genlab.sweeps import leading

TYPED = ["model.latent_dim=2,4", "+seed=1", "trainer=cpu"]


@pytest.fixture(autouse=True)
def _no_sweep_is_left() -> Iterator[None]:
    assert leading.current() is None
    yield
    for sweep in leading._current:
        sweep.lock.release()
    leading._current.clear()


def refusal(folder: Path) -> str:
    with pytest.raises(UserError) as error:
        leading.begin(folder, TYPED)
    assert leading.current() is None
    return str(error.value)


def test_a_sweep_claims_a_new_folder_and_gives_it_back(tmp_path):
    folder = tmp_path / "sweep"
    sweep = leading.begin(folder, TYPED)
    assert leading.current() is sweep
    assert (sweep.folder, sweep.fresh, sweep.total, sweep.jobs) == (folder, True, 2, [])
    with pytest.raises(UserError):
        FolderLock(folder)
    sweep.jobs.append(make_job(folder, "a=1", result=finished(1.0)))
    assert leading.end() == 0 and leading.current() is None
    FolderLock(folder).release()


def test_jobs_that_a_stopped_sweep_did_not_begin_are_counted(tmp_path, capsys):
    sweep = leading.begin(tmp_path / "sweep", TYPED)
    sweep.jobs += [make_job(sweep.folder, "a=1", result=finished(1.0)), sweep.folder / "a=2"]
    leading.end()
    assert "1 of 2 jobs were not begun" in capsys.readouterr().out.splitlines()


def test_two_sweeps_do_not_share_a_folder(tmp_path):
    other = FolderLock(tmp_path)
    assert refusal(tmp_path) == (
        f"{tmp_path}: another sweep is running there now; wait for it, or choose another folder"
    )
    other.release()
    leading.begin(tmp_path, TYPED)


def test_a_sweep_goes_on_in_its_folder(tmp_path):
    for name in ("multirun.yaml", ".lock"):  # killed before its first job; a claim that was given back
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
        assert not leading.begin(tmp_path / name, TYPED).fresh
    make_job(tmp_path / "moved", "a=1")
    assert not leading.begin(tmp_path / "moved", TYPED).fresh


def test_a_folder_with_the_users_own_files_is_no_sweeps(tmp_path):
    (tmp_path / "thesis.tex").touch()
    assert refusal(tmp_path) == (
        f"{tmp_path}: holds files that are no sweep's (thesis.tex, ...); choose another hydra.sweep.dir"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
    (tmp_path / ".lock").touch()  # as a run beside it leaves one
    assert "(thesis.tex, ...)" in refusal(tmp_path)


def test_a_single_runs_folder_is_no_sweeps(tmp_path):
    (tmp_path / ".lock").touch()
    (tmp_path / "metrics.csv").touch()
    assert refusal(tmp_path) == f"{tmp_path}: holds a single run; choose another hydra.sweep.dir"


def test_a_sweep_is_not_started_once_a_rank(tmp_path, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    sentence = "a sweep starts the processes of its jobs itself: start it without torchrun"
    assert refusal(tmp_path / "sweep") == sentence
    assert not (tmp_path / "sweep").exists()


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path):
    (tmp_path / "file").touch()
    sentence = refusal(tmp_path / "file" / "sweep")
    assert sentence.endswith("cannot be written to (Not a directory); choose another hydra.sweep.dir")


@pytest.mark.parametrize(
    ("typed", "total", "fixed"),
    [
        ([], 1, []),
        (["seed=0,1,2", "a=b", "c=4,5"], 6, ["a=b"]),
        (["seed=range(0,6)", "x=choice(1,2)"], 12, []),
        (
            ["b=[1,2]", "name='x, y'", "~logger", "+d={e: 1}"],
            1,
            ["b=[1,2]", "name='x, y'", "~logger=null", "+d={e:1}"],
        ),
    ],
)
def test_what_the_jobs_have_in_common_is_told_from_what_they_choose(typed, total, fixed):
    choices, common = leading._parted(typed)
    product = 1
    for count in choices:
        product *= count
    assert (product, common) == (total, fixed)


def test_common_overrides_are_those_that_hydra_hands_to_each_job(tmp_path):
    """Written otherwise they would seem to vary, and stand in every folder's name."""
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
    from hydra.core.override_parser.overrides_parser import OverridesParser

    typed = ["b=[1, 2]", "name='x, y'", "++d={e: 1}", "model/network=mlp,dcgan", "f=1e-3", "g=", "h='a b'"]
    parsed = OverridesParser.create().parse_overrides(typed)
    ((first, _),) = BasicSweeper.split_arguments(parsed, max_batch_size=None)
    sweep = leading.begin(tmp_path / "sweep", typed)
    assert sweep.varied(first) == ["model/network=mlp"]


def test_a_jobs_folder_is_named_by_what_this_sweep_varies(tmp_path):
    told = ["seed=1", "model.latent_dim=4"]
    assert leading.job_folder(str(tmp_path / "s"), told)[8:] == "_seed-1_latent_dim-4"  # no sweep: all
    leading.begin(tmp_path / "s", ["seed=1", "model.latent_dim=2,4"])
    assert leading.job_folder(str(tmp_path / "s"), told)[8:] == "_latent_dim-4"


# -- the end -------------------------------------------------------------------------------------------


def lead(folder: Path, *errors: str | None) -> None:
    """Leads a sweep of a job for each error, None for one that went well."""
    sweep = leading.begin(folder, TYPED)
    for k, error in enumerate(errors):
        result = {"ended": "failed"} if error else finished(float(k))
        sweep.jobs.append(make_job(folder, f"a={k}", result=result, error=error))


def test_without_a_sweep_nothing_is_concluded(capsys):
    with leading.concluded():
        pass
    with pytest.raises(ValueError, match="mine"), leading.concluded():
        raise ValueError("mine")
    assert capsys.readouterr() == ("", "")


def test_a_sweep_that_went_well_ends_with_its_table(tmp_path, capsys):
    with leading.concluded():
        lead(tmp_path / "s", None, None)
    assert (tmp_path / "s" / "sweep.csv").is_file()
    assert "table: " in capsys.readouterr().out


def test_a_sweep_with_a_failed_job_ends_with_exit_code_1(tmp_path, capsys):
    with pytest.raises(SystemExit) as end, leading.concluded():
        lead(tmp_path / "s", None, "out of memory")
    assert end.value.code == 1
    assert "1 of 2 jobs failed:" in capsys.readouterr().out


def test_hydras_word_for_a_failed_job_gives_way_to_the_table(tmp_path, capsys):
    with pytest.raises(SystemExit) as end, leading.concluded():
        lead(tmp_path / "s", "out of memory")
        raise UserError("as Hydra's sweeper raises it")
    assert end.value.code == 1 and "out of memory" in capsys.readouterr().out


def test_an_error_that_is_no_jobs_is_told_after_the_table(tmp_path, capsys):
    with pytest.raises(ValueError, match="a fault of ours"), leading.concluded():
        lead(tmp_path / "s", None)
        raise ValueError("a fault of ours")
    assert "table: " in capsys.readouterr().out


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), SystemExit(143)])
def test_a_sweep_that_is_stopped_shows_its_table_and_keeps_its_exit_code(tmp_path, capsys, stop):
    with pytest.raises(type(stop)) as end, leading.concluded():
        lead(tmp_path / "s", None, "out of memory")
        raise stop
    assert end.value is stop and "1 of 2 jobs failed:" in capsys.readouterr().out
    FolderLock(tmp_path / "s").release()


def test_a_sweep_that_is_refused_leaves_no_folder(tmp_path, capsys):
    with pytest.raises(UserError, match="wrong"), leading.concluded():
        leading.begin(tmp_path / "s", TYPED)
        (tmp_path / "s" / "multirun.yaml").touch()
        raise UserError("wrong")
    assert not list(tmp_path.iterdir()) and capsys.readouterr() == ("", "")


def test_a_sweep_that_is_refused_leaves_an_older_ones_folder_as_it_was(tmp_path):
    make_job(tmp_path, "a=1", result=finished(1.0))
    (tmp_path / "multirun.yaml").touch()
    with pytest.raises(UserError), leading.concluded():
        leading.begin(tmp_path, TYPED)
        raise UserError("wrong")
    assert (tmp_path / "multirun.yaml").exists() and len(list(tmp_path.glob("*/result.json"))) == 1


def test_a_folder_that_was_there_before_stays(tmp_path):
    (tmp_path / "multirun.yaml").touch()
    with pytest.raises(UserError), leading.concluded():
        leading.begin(tmp_path, TYPED)
        raise UserError("wrong")
    assert (tmp_path / "multirun.yaml").exists()


def test_jobs_of_an_earlier_command_that_failed_do_not_fail_this_one(tmp_path):
    make_job(tmp_path, "b=1", error="broke")
    (tmp_path / "multirun.yaml").touch()
    with leading.concluded():
        lead(tmp_path, None)


def test_a_full_disk_is_told_in_one_sentence(tmp_path, monkeypatch, capsys):
    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(leading, "write_csv", full)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as end, leading.concluded():
        lead(tmp_path / "s", None)
        leading.current().refresh()
        print("between jobs it is not worth stopping for")
    assert end.value.code == 1
    out, err = capsys.readouterr()
    assert out == "between jobs it is not worth stopping for\n"
    assert err == "s: sweep.csv could not be written (No space left on device)\n"


@pytest.mark.parametrize(
    ("name", "typed", "called"),
    [
        (None, [], "vae_digits"),
        (None, ["model=gan,cgan", "data=ring,grid", "model/network=mlp,dcgan"], "gan-cgan_ring-grid"),
        (None, ["data=choice(ring,grid)"], "vae_choice-ring-grid"),
        ("thesis", ["model=gan,cgan"], "thesis"),
    ],
)
def test_a_sweep_is_named_by_the_models_and_data_it_is_about(name, typed, called):
    assert leading.sweep_name(name, "vae", "digits", typed) == called
    assert len(leading.sweep_name(None, "vae", "digits", ["data=" + "mnist," * 99])) < 80
