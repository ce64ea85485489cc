"""The command that measures compositions."""

import json

import pytest
import torch
from conftest import ROOT

from benchmarks.composition.committee import together
from benchmarks.composition.compose_study import CASES, compose_study
from benchmarks.config import compose
from benchmarks.tables.composition import TITLES, composition_table
from ibc.checkpoint import load_checkpoint
from ibc.errors import UserError
from ibc.policies import ComposedPolicy, Policy
from ibc.policies.loading import build_policy
from ibc.random import BatchRandom

pytestmark = pytest.mark.unchecked


class TestCommand:
    def settings(self, tmp_path, *overrides):
        return compose(
            "compose_study",
            [
                "num_episodes=2",
                f"output={tmp_path / 'out.json'}",
                f"pretrained={ROOT / 'pretrained'}",
                f"images={tmp_path}",
                *overrides,
            ],
        )

    def test_a_case_replaces_its_own_rows_and_no_others(self, tmp_path):
        kept = {"variants": [{"variant": "kept"}], "first_seed": 7, "about": {"commit": "earlier"}}
        before = [{"case": name, **kept} for name in ("ood_score", "particle_8d")]
        before = {"command": "", "rows": before}
        (tmp_path / "out.json").write_text(json.dumps(before))
        compose_study(self.settings(tmp_path, "cases=[particle_8d]"))
        result = json.loads((tmp_path / "out.json").read_text())
        replaced, other = result["rows"]
        assert other == {"case": "ood_score", **kept}
        rows = replaced["variants"]
        assert [row["variant"] for row in rows] == ["without", "soft", "hard"]
        assert all(row["num_episodes"] == 2 for row in rows)
        result["rows"] = [replaced]
        assert any("particle 8-D" in line for line in composition_table(result))

    def test_an_unknown_case(self, tmp_path):
        with pytest.raises(UserError, match="cases has nothing; allowed: particle_2d, .*ood_score"):
            compose_study(self.settings(tmp_path, "cases=[nothing]"))

    def test_policies_together(self):
        """Energies by their mean; actions, where there is nothing else, by theirs."""
        checkpoint = load_checkpoint(ROOT / "pretrained/particle_2d.pt")
        policy = build_policy(checkpoint, torch.device("cpu"))
        obs = {name: torch.rand(2, 2, 2) for name in policy.spec.obs}
        assert isinstance(together([policy, policy]), ComposedPolicy)

        class Constant(Policy):
            def __init__(self, value):
                super().__init__(policy.spec)
                self.value = value

            def fit(self, dataset):
                pass

            def act_flat(self, obs, rng):
                return torch.full((2, 2), self.value)

        mean = together([Constant(0.0), Constant(0.6)])
        rng = BatchRandom(torch.Generator().manual_seed(0))
        torch.testing.assert_close(mean.act_flat(obs, rng), torch.full((2, 2), 0.3))

    def test_every_case_has_a_title(self):
        assert list(CASES) == list(TITLES)
