"""The preconditioned energy, the diffusion policy of the same network, their losses and their search."""

import pytest
import torch

from ibc.energies import PreconditionedEnergy, UnitSpace
from ibc.errors import UserError
from ibc.losses import EDMDenoising, EDMScoreMatching
from ibc.nn.sequence import ChunkTransformer, FiLMMLP, SequenceNetwork, TemporalUNet
from ibc.policies import EDMPolicy, ImplicitPolicy
from ibc.random import BatchRandom, PerEpisodeRandom
from ibc.samplers import DFO, AnnealedLangevin, ProbabilityFlow, Tempering
from ibc.spec import Batch, ObsField, Spec

NETWORKS = {
    "film_mlp": lambda: FiLMMLP(width=16, num_blocks=2),
    "temporal_unet": lambda: TemporalUNet(widths=(8, 16)),
    "transformer": lambda: ChunkTransformer(width=16, num_layers=2, num_heads=2),
}
D = 0.5


@pytest.fixture(params=[1, 3, 8])
def chunks(request):
    """A task with chunks of one, an odd and an even number of actions."""
    return Spec(
        obs={"state": ObsField((3,), "float32")},
        obs_horizon=2,
        action_dim=2,
        action_horizon=request.param,
        action_low=(-1.0, -1.0),
        action_high=(1.0, 1.0),
    )


def rng(seed=0):
    return BatchRandom(torch.Generator().manual_seed(seed))


def observe(batch=4):
    return {"state": torch.randn(batch, 2, 3)}


def implicit(spec, network="film_mlp", **energy):
    return ImplicitPolicy(spec, PreconditionedEnergy(network=NETWORKS[network](), **energy))


def randomize(module):
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return module


@pytest.mark.parametrize("network", NETWORKS)
class TestNetworks:
    def test_the_best_linear_denoiser_before_training(self, chunks, network):
        policy, diffusion = (
            implicit(chunks, network),
            EDMPolicy(chunks, network=NETWORKS[network]()),
        )
        obs, noisy = observe(), torch.randn(4, 5, chunks.action_size)
        sigma = torch.tensor([[0.01], [0.3], [1.0], [4.0]])
        best = noisy * (D**2 / (sigma**2 + D**2)).unsqueeze(1)
        space = UnitSpace(policy.energy.bind(obs), policy.bounds).at(sigma)
        torch.testing.assert_close(noisy - space.gradient(noisy), best)
        torch.testing.assert_close(diffusion.bind_denoiser(obs)(noisy, sigma), best)

    def test_gradient_is_that_of_the_energy(self, chunks, network):
        policy = randomize(implicit(chunks, network)).double()
        obs = {name: value.double() for name, value in observe(2).items()}
        space = UnitSpace(policy.energy.bind(obs), policy.bounds).at(
            torch.full((2, 1), 0.4).double()
        )
        at = torch.randn(2, 1, chunks.action_size, dtype=torch.double)
        gradient = space.gradient(at)
        for i in range(chunks.action_size):
            step = torch.zeros_like(at)
            step[..., i] = 1e-5
            difference = (space.energy(at + step) - space.energy(at - step)) / 2e-5
            torch.testing.assert_close(gradient[..., i], difference, rtol=1e-5, atol=1e-7)

    def test_what_is_written_out_is_automatic_differentiation(self, chunks, network):
        """Outputs, products with the transposed derivative, and how both change with the weights and the chunk."""
        net = randomize(implicit(chunks, network)).double().energy.network
        context = torch.randn(3, 256, dtype=torch.double)
        chunk, vector = torch.randn(2, 3, 2, chunks.action_size, dtype=torch.double)
        chunk.requires_grad_()
        found = []
        for way in (type(net), SequenceNetwork):
            out, back = way.output_and_transposed(net, chunk, net.modulations(context), vector)
            total = (out.square() + back.square()).sum()
            wanted = [chunk, *net.parameters()]
            found.append([out, back, *torch.autograd.grad(total, wanted)])
        for written, automatic in zip(*found, strict=True):
            torch.testing.assert_close(written, automatic)

    def test_candidates_and_observations_do_not_mix(self, chunks, network):
        policy = randomize(implicit(chunks, network))
        obs, unit = observe(), torch.randn(4, 6, chunks.action_size)
        whole = UnitSpace(policy.energy.bind(obs), policy.bounds).energy(unit)
        alone = UnitSpace(policy.energy.bind({"state": obs["state"][2:3]}), policy.bounds).energy(
            unit[2:3, 1:4]
        )
        torch.testing.assert_close(whole[2:3, 1:4], alone, rtol=1e-4, atol=1e-5)

    def test_the_order_of_actions_matters(self, chunks, network):
        if chunks.action_horizon == 1:
            pytest.skip("one action has no order")
        policy = randomize(implicit(chunks, network))
        unit = torch.randn(1, 1, chunks.action_size)
        turned = unit.unflatten(-1, (-1, 2)).flip(2).flatten(2)
        space = UnitSpace(policy.energy.bind(observe(1)), policy.bounds)
        assert not torch.allclose(space.energy(unit), space.energy(turned), rtol=1e-3)

    @pytest.mark.parametrize("kind", ["energy", "diffusion"])
    def test_every_parameter_is_trained(self, chunks, network, kind):
        if kind == "energy":
            policy, loss = randomize(implicit(chunks, network)), EDMScoreMatching()
        else:
            policy = randomize(EDMPolicy(chunks, network=NETWORKS[network]()))
            loss = EDMDenoising()
        batch = Batch(observe(), torch.rand(4, chunks.action_size))
        value, metrics = loss(policy, batch, rng())
        value.backward()
        assert float(metrics["denoising"]) == float(value.detach())
        saved = policy.state_dict().values()  # each once
        assert len({tensor.data_ptr() for tensor in saved if tensor.numel()}) == len(saved)
        untouched = [n for n, p in policy.named_parameters() if p.grad is None]
        assert not untouched


class TestClosedForms:
    def test_the_loss_is_one_where_the_linear_denoiser_is_right(self, chunks):
        """``E|D - a|^2 = s^2 d^2 / (s^2 + d^2)`` for Gaussian actions, which the weight turns into one."""
        count = 4000
        batch = Batch(observe(count), D * torch.randn(count, chunks.action_size))
        for policy, loss in (
            (implicit(chunks), EDMScoreMatching()),
            (EDMPolicy(chunks, network=NETWORKS["film_mlp"]()), EDMDenoising()),
        ):
            value, _ = loss(policy, batch, rng())
            assert float(value.detach()) == pytest.approx(1.0, abs=0.05)

    @pytest.mark.unchecked
    def test_the_flow_ends_in_the_distribution_of_the_data(self, chunks):
        policy = implicit(chunks)
        space = UnitSpace(policy.energy.bind(observe(500)), policy.bounds)
        space.low, space.high = space.low * 10, space.high * 10
        space.clamp = lambda unit: unit
        start = torch.zeros(500, 2, chunks.action_size)
        found = ProbabilityFlow(num_candidates=2, num_steps=400)(space, start, rng()).action
        assert float(found.std()) == pytest.approx(D, rel=0.06)
        # Euler steps of the linear flow shrink each chain by the product of their factors.
        still = ProbabilityFlow(num_candidates=2, init_scale=0.0)(space, start, rng()).action
        assert float(still.abs().max()) == 0.0

    @pytest.mark.unchecked
    def test_a_plan_is_kept_as_far_as_its_level_says(self, chunks):
        """A chain of the linear flow that starts at level s keeps ``d / sqrt(s^2 + d^2)`` of its plan."""
        policy = implicit(chunks)
        space = UnitSpace(policy.energy.bind(observe(2)), policy.bounds)
        plan = torch.full((2, 1, chunks.action_size), 0.3)
        plan[1] = torch.nan
        space.plan = plan
        start = torch.zeros(2, 4000, chunks.action_size)
        for std in (0.1, D):
            found = ProbabilityFlow(num_steps=400, plan_std=std)(space, start, rng()).action
            kept = D / (std**2 + D**2) ** 0.5
            assert float(found[0].mean()) == pytest.approx(0.3 * kept, abs=0.01)
            assert float(found[1].mean()) == pytest.approx(0.0, abs=0.02)
            assert float(found[0].std()) == pytest.approx(std * kept, rel=0.06)

    @pytest.mark.unchecked
    def test_a_tempered_search_goes_on_from_the_plan(self, chunks):
        policy = implicit(chunks)
        space = UnitSpace(policy.energy.bind(observe(2)), policy.bounds)
        space.plan = torch.full((2, 1, chunks.action_size), 0.3)
        start = torch.zeros(2, 3, chunks.action_size)
        flow = ProbabilityFlow(num_candidates=3, plan_std=0.1)
        plain = flow(space, start, rng(3)).action
        torch.testing.assert_close(Tempering(flow, [1.0])(space, start, rng(3)).action, plain)

    def test_energy_and_diffusion_take_the_same_path(self, chunks):
        """Before training they are the same denoiser, and so they find the same actions from the same noise."""
        policy, diffusion = implicit(chunks), EDMPolicy(chunks, network=NETWORKS["film_mlp"]())
        obs = observe()
        space = UnitSpace(policy.energy.bind(obs), policy.bounds)
        found = ProbabilityFlow()(space, torch.zeros(4, 1, chunks.action_size), rng(3)).best()
        torch.testing.assert_close(found, diffusion.act_flat(obs, rng(3)))


class TestContractOfTheSearch:
    """What every sampler promises (samplers/test_optimizers.py)."""

    def search(self, chunks, seeds, obs):
        torch.manual_seed(5)
        policy = randomize(implicit(chunks))
        space = UnitSpace(policy.energy.bind(obs), policy.bounds)
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        start = torch.zeros(len(seeds), 3, chunks.action_size)
        sampler = ProbabilityFlow(num_candidates=3, num_steps=4)
        found = sampler(space, start, PerEpisodeRandom(generators, torch.device("cpu")))
        return space, found

    def test_energies_limits_and_rows(self, chunks):
        obs = observe(3)
        space, many = self.search(chunks, [4, 5, 6], obs)
        torch.testing.assert_close(many.energy, space.energy(many.action).detach())
        assert (many.action >= space.low).all()
        assert (many.action <= space.high).all()
        assert not many.action.requires_grad
        for row, seed in enumerate((4, 5, 6)):
            _, alone = self.search(chunks, [seed], {"state": obs["state"][row : row + 1]})
            torch.testing.assert_close(alone.action[0], many.action[row], atol=1e-4, rtol=1e-4)


class TestRefusals:
    def test_levels(self):
        with pytest.raises(ValueError, match="min_std < max_std"):
            PreconditionedEnergy(min_std=1.0, max_std=0.5)

    def test_steps(self):
        with pytest.raises(UserError, match="num_steps=0"):
            ProbabilityFlow(num_steps=0)
        with pytest.raises(UserError, match="plan_std=0"):
            ProbabilityFlow(plan_std=0)

    def test_an_energy_without_levels(self, chunks):
        policy = ImplicitPolicy(chunks, sampler=ProbabilityFlow())
        with pytest.raises(UserError, match="implicit_preconditioned"):
            policy.act(observe(), rng())

    def test_another_energy_under_the_loss(self, chunks):
        batch = Batch(observe(), torch.rand(4, chunks.action_size))
        with pytest.raises(
            UserError, match="EDMScoreMatching trains policies that have noise levels"
        ):
            EDMScoreMatching()(ImplicitPolicy(chunks), batch, rng())
        with pytest.raises(UserError, match="policy=edm"):
            EDMDenoising()(ImplicitPolicy(chunks), batch, rng())

    def test_heads(self):
        with pytest.raises(UserError, match="multiple of num_heads"):
            ChunkTransformer(width=10, num_heads=4)


@pytest.mark.parametrize(
    "sampler",
    [
        AnnealedLangevin(num_candidates=2, steps_per_level=1),
        DFO(num_candidates=16, num_iterations=2, noise_std=0.3, shrink=0.5),
    ],
)
def test_other_searches(chunks, sampler):
    policy = ImplicitPolicy(chunks, PreconditionedEnergy(network=FiLMMLP(width=8)), sampler)
    assert policy.act(observe(), rng()).shape == (4, chunks.action_horizon, 2)
