"""The command that writes the page, and what it refuses."""

import copy

import pytest
import torch
from conftest import ROOT
from test_arithmetic import SPEC

from ibc.cli.app import main
from ibc.energies import AutoregressiveEnergy, MLPEnergy
from ibc.errors import UserError
from ibc.nn import DeepSetsEncoder, ObsEncoder
from ibc.nn.densities import MixtureDensity
from ibc.page.describe import describe_policy
from ibc.page.write import FOLDER, MODULES, bundle
from ibc.policies import ImplicitPolicy, MSEPolicy
from ibc.spec import ObsField

pytestmark = pytest.mark.unchecked


def run_page(*arguments):
    main(["page", *arguments])


def test_the_page_of_the_documents_is_what_the_command_writes(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    both = "checkpoint=[pretrained/particle_2d.pt,pretrained/block_push_states.pt]"
    run_page(both, f"output={tmp_path}/energy.html")
    assert (tmp_path / "energy.html").read_bytes() == (ROOT / "docs/energy.html").read_bytes()
    assert "MB" in capsys.readouterr().out


def test_every_module_is_in_the_page_and_imports_only_what_comes_before():
    assert {path.stem for path in FOLDER.glob("*.js")} == set(MODULES)
    for i, name in enumerate(MODULES):
        source = (FOLDER / f"{name}.js").read_text()
        imported = [
            part.split('"./')[1].split(".js")[0]
            for part in source.splitlines()
            if part.startswith("import")
        ]
        assert set(imported) <= set(MODULES[:i])
    starts = {line.split(" ")[0] for line in bundle(MODULES).splitlines()}
    assert not starts & {"import", "export"}


CASES = {
    "a page shows implicit policies only": lambda: MSEPolicy(SPEC),
    "chunks of 4 actions of 2 dimensions": lambda: ImplicitPolicy(changed(action_horizon=4)),
    "observes images": lambda: ImplicitPolicy(changed(obs={"rgb": ObsField((16, 16, 3), "uint8")})),
    "an energy of kind AutoregressiveEnergy": lambda: ImplicitPolicy(SPEC, AutoregressiveEnergy()),
    "observations encoded by DeepSetsEncoder": lambda: ImplicitPolicy(
        changed(obs={"a": ObsField((4, 3), "float32"), "a_mask": ObsField((4,), "float32")}),
        MLPEnergy(DeepSetsEncoder()),
    ),
    "a proposal density": lambda: ImplicitPolicy(
        SPEC, MLPEnergy(ObsEncoder(), density=MixtureDensity())
    ),
}


def changed(**fields):
    spec = copy.deepcopy(SPEC)
    for name, value in fields.items():
        object.__setattr__(spec, name, value)
    return spec


@pytest.mark.parametrize("reason", CASES)
def test_what_it_cannot_show_is_said_in_one_line(reason):
    checkpoint = type("Checkpoint", (), {"config": {}})()
    with pytest.raises(UserError) as error:
        describe_policy(CASES[reason](), checkpoint, "a.pt")
    assert str(error.value).startswith("a.pt: ")
    assert reason in str(error.value)
    assert "\n" not in str(error.value)


def test_a_policy_of_the_default_recipe_is_shown(tmp_path):
    ImplicitPolicy(SPEC).save(tmp_path / "policy.pt")
    run_page(f"checkpoint=[{tmp_path}/policy.pt,{tmp_path}/policy.pt]", f"output={tmp_path}/p.html")
    assert (tmp_path / "p.html").stat().st_size > 2_000_000


def test_too_many_weights_are_refused(tmp_path):
    policy = ImplicitPolicy(SPEC, MLPEnergy(width=1024, num_blocks=2))
    torch.manual_seed(0)
    policy.save(tmp_path / "wide.pt")
    with pytest.raises(SystemExit) as stopped:
        run_page(f"checkpoint={tmp_path}/wide.pt", f"output={tmp_path}/page.html")
    assert stopped.value.code == 2
    assert not (tmp_path / "page.html").exists()
