"""Every reference number, to the printed digits."""

import math

import numpy as np
import pytest
import torch
from ibc_envs.particle.env import control_step
from known_energies import run
from torch.nn.utils import parametrize

from ibc.losses import gradient_penalty, info_nce
from ibc.nn import ActionBounds, Normalizer, SpatialSoftmax
from ibc.nn.densities import mixture_log_prob
from ibc.nn.spectral_norm import SpectralNorm
from ibc.nn.vision.conv import stack_frames
from ibc.random import BatchRandom
from ibc.samplers import DFO, GradientDescent, IBCLangevin
from ibc.samplers.dfo import resample
from ibc.samplers.gradient_descent import polynomial_schedule

#: The numbers are printed with ten decimals.
DIGITS = 1e-9


def f64(values):
    return torch.tensor(values, dtype=torch.float64)


def close(actual, expected, atol=DIGITS):
    torch.testing.assert_close(
        torch.as_tensor(actual, dtype=torch.float64), f64(expected), atol=atol, rtol=0
    )


class ScriptedNoise:
    """Hands out prepared arrays instead of random ones."""

    def __init__(self, normal=(), uniform=()):
        self._normal, self._uniform = list(normal), list(uniform)

    def normal(self, *shape):
        return self._normal.pop(0).view(shape)

    def uniform(self, *shape):
        return self._uniform.pop(0).view(shape)


def box(limit, size):
    """Bounds whose unit cube is the environment's, searched up to +-limit."""
    bounds = ActionBounds(size).double()
    bounds.unit_low.fill_(-limit)
    bounds.unit_high.fill_(limit)
    return bounds


class TestInfoNCE:
    """Reference column order is [negatives, positive]; ours begins with the positive."""

    def energy(self, ref):
        return -f64(ref["nce.f"]).roll(1, dims=1)

    def test_values(self, ref):
        close(info_nce(self.energy(ref)), ref["nce.per_example_T1"])
        close(info_nce(self.energy(ref)).mean(), ref["nce.mean_T1"])
        close(info_nce(self.energy(ref), 2.0), ref["nce.per_example_T2"])

    def test_gradient(self, ref):
        energy = self.energy(ref).requires_grad_()
        info_nce(energy).mean().backward()
        close(-energy.grad.roll(-1, dims=1), ref["nce.dmean_df_T1"])

    def test_untrained_level(self, ref):
        levels = [info_nce(torch.zeros(1, 1 + n).double()).item() for n in (8, 64, 256, 1024)]
        close(levels, ref["nce.uniform_levels_ln(n+1)_n=8,64,256,1024"])

    def test_a_very_wrong_answer_is_not_capped(self, ref):
        close(info_nce(f64([[40.0, 0.0, 0.0, 0.0]])), ref["nce.very_wrong_exact"])


def test_gradient_penalty(ref):
    gradients = f64(ref["gp.grads"])
    close(gradient_penalty(gradients), ref["gp.per_example_inf"])
    close(gradient_penalty(gradients).mean(), ref["gp.batch_mean_inf"])


@pytest.mark.parametrize("n", [5, 25, 50, 100])
def test_schedule(ref, n):
    steps = polynomial_schedule(n, 0.1, 1e-5, 2.0)
    if n == 5:
        close(steps, ref["poly.N5"])
        return
    close(steps[:4], ref[f"poly.N{n}.first4"])
    close([steps[n // 2], *steps[-3:]], ref[f"poly.N{n}.mid_last3"])
    close(sum(steps), ref[f"poly.N{n}.sum"])


def test_schedules_of_d4rl(ref):
    steps = polynomial_schedule(100, 0.5, 1e-5, 2.0)
    close([*steps[:3], steps[-1]], ref["poly.d4rl_N100_init0.5.first3_last"])
    close(sum(steps), ref["poly.d4rl_N100_init0.5.sum"])
    second = polynomial_schedule(100, 1e-5, 1e-5, 2.0)
    close([*second[:3], sum(second)], ref["poly.d4rl_second_chain_is_constant"])


class TestLangevin:
    """Three steps on a quadratic, with the printed noise."""

    def energy(self, ref):
        stiffness, minimum = f64(ref["lang.K"]), f64(ref["lang.M"])
        return lambda action: 0.5 * (stiffness * (action - minimum) ** 2).sum(-1)

    def sampler(self, kind, n):
        return kind(num_candidates=2, num_iterations=n, step_init=0.1, step_final=1e-5)

    def test_with_noise(self, ref):
        init = f64(ref["lang.a0"]).unsqueeze(0)
        rng = ScriptedNoise(normal=[f64(step) for step in ref["lang.noise"]])
        out = run(self.sampler(IBCLangevin, 3), self.energy(ref), init, box(1.05, 2), rng)
        close(out.action[0], ref["lang.a3"])
        close(out.energy[0], ref["lang.E3"])

    @pytest.mark.parametrize("steps", [1, 2])
    def test_each_step(self, ref, steps):
        sampler = self.sampler(IBCLangevin, 3)
        sampler.schedule = lambda: polynomial_schedule(3, 0.1, 1e-5, 2.0)[:steps]
        rng = ScriptedNoise(normal=[f64(step) for step in ref["lang.noise"]])
        init = f64(ref["lang.a0"]).unsqueeze(0)
        out = run(sampler, self.energy(ref), init, box(1.05, 2), rng)
        close(out.action[0], ref[f"lang.a{steps}"])

    def test_without_noise(self, ref):
        init = f64(ref["lang.a0"]).unsqueeze(0)
        out = run(
            self.sampler(GradientDescent, 3), self.energy(ref), init, box(1.05, 2), ScriptedNoise()
        )
        close(out.action[0], ref["lang.noise_free_a3"])

    def test_a_hundred_steps(self, ref):
        init = f64([[[-1.0, 1.0]]])
        out = run(
            self.sampler(GradientDescent, 100),
            self.energy(ref),
            init,
            box(1.05, 2),
            ScriptedNoise(),
        )
        close(out.action[0], ref["lang.noise_free_N100_end"])

    def test_noise_is_scaled_by_the_step_not_its_root(self, ref):
        """Stationary variance at a constant step, with curvature 4: a tenth of what textbook Langevin has."""
        key = "lang.stationary_var step=0.1 (ibc noise*step | sqrt(step) ULA | target 1/k)"
        count, wide = 20_000, box(50.0, 1)
        sampler = IBCLangevin(
            num_candidates=count,
            num_iterations=100,
            step_init=0.1,
            step_final=0.1,
            delta_clip=1e9,
        )
        rng = BatchRandom(torch.Generator().manual_seed(0))
        zeros = torch.zeros(1, count, 1)
        out = run(sampler, lambda a: 2 * a.square().sum(-1), zeros, wide.float(), rng)
        variance = float(out.action.var())
        # Four standard errors of a variance estimated from as many draws.
        assert variance == pytest.approx(ref[key][0], rel=4 * math.sqrt(2 / count))


class TestDFO:
    """The printed example: E = 8 (x - 0.25)^2, five candidates."""

    @staticmethod
    def energy(action):
        return 8 * (action[..., 0] - 0.25) ** 2

    def test_probabilities(self, ref):
        energy = self.energy(f64(ref["dfo.x0"]).view(1, 5, 1))
        close(torch.softmax(-energy, 1)[0], ref["dfo.prob0"])

    def uniforms(self, ref, iteration):
        """Numbers that select the printed indices: the middle of each index's part of the distribution."""
        prob = f64(ref["dfo.prob0" if iteration == 0 else f"dfo.iter{iteration}.prob"])
        index = ref[
            "dfo.idx0(sorted, as counts+repeat do)"
            if iteration == 0
            else f"dfo.iter{iteration}.idx"
        ]
        return (prob.cumsum(0) - prob / 2)[index]

    def test_resampling(self, ref):
        energy = self.energy(f64(ref["dfo.iter1.perturbed"]).view(1, 5, 1))
        index = resample(energy, self.uniforms(ref, 1).view(1, 5), 1.0)
        assert index[0].tolist() == ref["dfo.iter1.idx"]

    def test_two_rounds_return_the_best_of_the_scored_set(self, ref):
        x0 = f64(ref["dfo.x0"])
        survivors = x0[ref["dfo.idx0(sorted, as counts+repeat do)"]]
        first = (f64(ref["dfo.iter1.perturbed"]) - survivors) / ref["dfo.iter1.std"]
        second = (f64(ref["dfo.iter2.perturbed"]) - f64(ref["dfo.iter1.resampled"])) / ref[
            "dfo.iter2.std"
        ]
        rng = ScriptedNoise(
            normal=[first, second], uniform=[self.uniforms(ref, 0), self.uniforms(ref, 1)]
        )
        sampler = DFO(num_candidates=5, num_iterations=3, noise_std=0.33, shrink=0.5)
        out = run(sampler, self.energy, x0.view(1, 5, 1), box(1.0, 1), rng)
        close(out.action[0, :, 0], ref["dfo.iter2.perturbed"])
        close(torch.softmax(-out.energy, 1)[0], ref["dfo.iter2.prob"])
        close(out.best()[0, 0], ref["dfo.correct_choice  before_resample[argmax prob]"])


class TestNormalization:
    def test_action_bounds(self, ref):
        action = f64(ref["norm.actions"])
        bounds = ActionBounds(2).double()
        for limit, key in (
            (0.1, "norm.sampling_bounds_normalized"),
            (0.03, "norm.sampling_bounds_if_env_limit_0.03"),
        ):
            bounds.fit(action, f64([-limit] * 2), f64([limit] * 2))
            close(bounds.to_unit(action), ref["norm.minmax"])
            close(torch.stack([bounds.unit_low, bounds.unit_high]), ref[key])
        bounds.fit(action, f64([-0.1] * 2), f64([0.1] * 2))
        raw = torch.stack([bounds.from_unit(bounds.unit_low), bounds.from_unit(bounds.unit_high)])
        close(raw, ref["norm.buffered_raw(env limit +-0.1: no clip)"])

    @pytest.mark.parametrize(
        ("sqrt_std", "key"), [(False, "norm.zscore"), (True, "norm.sqrt_std (D4RL EBM)")]
    )
    def test_observations(self, ref, sqrt_std, key):
        data = f64(
            [[0.0, 0.0], [2.0, 0.0], [4.0, 30.0]]
        )  # spacing follows from the two printed forms
        normalizer = Normalizer(2, sqrt_std=sqrt_std).double()
        normalizer.fit(data)
        close(normalizer(data), ref[key])


def test_frames_are_stacked_by_channel(ref):
    frames = torch.arange(16).view(1, 2, 2, 4, 1)
    stacked = stack_frames(frames)[0]
    assert stacked[0].tolist() == ref["stack.correct[...,0] (frame0)"]
    assert stacked[1].tolist() == ref["stack.correct[...,1] (frame1)"]


class TestParticle:
    def test_one_control_step(self, ref):
        zero = np.zeros(2)
        position, velocity = control_step(np.array([0.5, 0.2]), zero, np.array([1.0, 0.0]))
        close([position.tolist(), velocity.tolist()], ref["particle.after_1_control_step pos,vel"])

    def test_unit_step_response(self, ref):
        position = velocity = np.zeros(1)
        within = {}
        for k in range(1, 26):
            position, velocity = control_step(position, velocity, np.ones(1))
            key = f"particle.unit_step_response k={k} pos,vel"
            if key in ref:
                close([position[0], velocity[0]], ref[key])
            for tolerance in (0.05, 0.01):
                if abs(position[0] - 1) < tolerance:
                    within.setdefault(tolerance, k)
        expected = ref["particle.first_control_step_within_0.05 / 0.01 of a unit step"]
        assert [within[0.05], within[0.01]] == expected


class TestInputsNotRecorded:
    """Three printed results whose inputs are not: inputs that must give them are derived here."""

    def test_mixture_likelihood(self, ref):
        """Two components on one axis; deviation and weight are solved for with plain mathematics."""

        def nll(std, logit, temperature):
            log_w = -np.logaddexp(0, np.array([-logit, logit]) / temperature)
            z = (0.1 - np.array([0.0, 0.6])) / std
            return -np.logaddexp.reduce(log_w - 0.5 * z**2 - np.log(std) - 0.5 * np.log(2 * np.pi))

        target, target_t2 = ref["mdn.nll_2comp"], ref["mdn.nll_2comp_T2"]

        def solve(function, low, high):
            for _ in range(200):
                middle = (low + high) / 2
                low, high = (low, middle) if function(middle) > 0 else (middle, high)
            return (low + high) / 2

        def std_for(logit):  # the likelihood falls with the deviation on this interval
            return solve(lambda s: nll(s, logit, 1.0) - target, 0.12, 1.0)

        logit = solve(lambda x: nll(std_for(x), x, 2.0) - target_t2, 0.01, 4.0)
        std = std_for(logit)
        for temperature, expected in ((1.0, target), (2.0, target_t2)):
            log_weight = torch.log_softmax(f64([[logit, 0.0]]) / temperature, -1)
            log_prob = mixture_log_prob(
                log_weight,
                f64([[[0.0], [0.6]]]),
                f64([[[math.log(std)], [math.log(std)]]]),
                f64([[[0.1]]]),
            )
            close(-log_prob[0, 0], expected)

    def test_spectral_norm(self, ref):
        """The first estimate fixes the start vector on a diagonal matrix; the next two are predictions."""
        first, exact = ref["sn.sigma_after_call_1"], ref["sn.exact_sigma"]
        a, b = exact**2, 1.0  # squared singular values
        q = (a**2 - first**2 * a) / (first**2 * b - b**2)  # of (a^2 + q b^2) / (a + q b) = first^2
        weight = torch.diag(f64([math.sqrt(a), math.sqrt(b)]))
        norm = SpectralNorm(weight).double().train()
        norm.u = f64([1.0, math.sqrt(q)]) / math.sqrt(1 + q)
        estimates = [float(norm.sigma(weight)) for _ in range(3)]
        close(estimates, [ref[f"sn.sigma_after_call_{k}"] for k in (1, 2, 3)], atol=2e-6)
        close(estimates[0], first)
        for _ in range(50):
            norm.sigma(weight)
        close(norm.eval().sigma(weight), exact)
        layer = torch.nn.Linear(2, 2).double()
        parametrize.register_parametrization(layer, "weight", norm)
        with torch.no_grad():
            layer.parametrizations.weight.original.copy_(weight)
        for _ in range(50):
            _ = layer.weight
        close(torch.linalg.matrix_norm(layer.weight, 2), 1.0)

    def test_spatial_soft_argmax(self, ref):
        """A map whose expected coordinates are the printed ones, by a distribution written out by hand."""
        x, y = ref["softargmax.xy"]
        columns = f64([0.1, 0.8 - x, 0.1 + x])  # sum 1, mean x over (-1, 0, 1)
        rows = f64([0.4 - y / 2, 0.2, 0.4 + y / 2])
        maps = (rows[:, None] * columns).log().view(1, 1, 3, 3) + 3.0
        close(SpatialSoftmax().double()(maps)[0], ref["softargmax.xy"])
