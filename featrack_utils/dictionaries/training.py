"""Dictionaries: sparse autoencoders on activations, trained and saved with SAELens."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import sae_lens
import torch
from jaxtyping import Float
from sae_lens import SAE, TrainingSAE
from sae_lens.config import LoggingConfig, SAETrainerConfig
from sae_lens.saes.sae import TrainStepOutput
from sae_lens.training.optim import CoefficientScheduler
from torch import Tensor

from featrack_utils.dictionaries import kernels
from featrack_utils.dictionaries.activations import Buffers, activation_batches
from featrack_utils.errors import FeatrackError
from featrack_utils.models.capture import device
from featrack_utils.models.training import uses_bfloat16
from featrack_utils.pipeline.progress import TimeLeft

_LOGGED_STEPS = 100  # about how many points the training history gets
_CHECKPOINTS = "checkpoints"
# How strongly the L1 coefficient answers to an L0 off its target: at once, and for good.
_AT_ONCE, _FOR_GOOD = 0.5, 0.05
_SPARSE = 0.1  # share of active features up to which visiting them alone is the faster way


class FusedL1SAE(sae_lens.StandardTrainingSAE):
    """SAELens' L1 autoencoder: the same loss and gradient, several times as fast on a CPU.

    Once features are sparse the encoder is the only product of whole matrices: reconstruction and
    gradients visit active features alone. Until then all are products, and what the published form
    does besides, copies to float32 and a gradient with respect to the input, is left out.

    The encoder's weights lie in memory feature by feature, as the decoder's do, so that a feature's
    gradient is written where the optimizer reads it.
    """

    def initialize_weights(self) -> None:
        super().initialize_weights()
        self.W_enc.data = self.W_enc.data.T.contiguous().T

    def process_state_dict_for_saving(self, state_dict: dict[str, Any]) -> None:
        super().process_state_dict_for_saving(state_dict)
        state_dict["W_enc"] = state_dict["W_enc"].contiguous()

    @torch.no_grad()
    def take_gradients(
        self, x: Float[Tensor, "n d_in"], l1_coefficient: float, dtype: torch.dtype
    ) -> TrainStepOutput:
        """Mean over the batch of ‖x̂ − x‖² + coefficient · Σ f · ‖W_dec row‖; sets all gradients.

        dtype: in which whole matrices are multiplied.
        """
        centred = x - self.b_dec
        weights, bias = self.W_enc.to(dtype), self.b_enc.to(dtype)
        acts = torch.addmm(bias, centred.to(dtype), weights).relu_()
        lengths = self.W_dec.norm(dim=1)
        price = l1_coefficient / len(x)
        room = int(_SPARSE * acts.numel())
        entries = kernels.active_entries(acts, room) if x.device.type == "cpu" else None
        gradients = _dense if entries is None else _sparse
        sae_out, error, active, to_encoder, to_bias, to_decoder = gradients(
            x, centred, acts, entries, self.W_dec.data, self.b_dec.data, price, lengths
        )
        self.W_enc.grad, self.b_enc.grad, self.W_dec.grad = to_encoder.T, to_bias, to_decoder
        self.b_dec.grad = 2 / len(x) * error.sum(dim=0) - to_bias @ self.W_enc.T
        mse, l1 = error.square().sum() / len(x), price * (active @ lengths)
        return TrainStepOutput(
            sae_in=x,
            sae_out=sae_out,
            feature_acts=acts,
            hidden_pre=acts,
            loss=mse + l1,
            losses={"mse_loss": mse, "l1_loss": l1},
        )


def _dense(x, centred, acts, entries, W_dec, b_dec, price, lengths):
    """Reconstruction, error, summed features, gradients, all by products of whole matrices."""
    decoder = W_dec.to(acts.dtype)
    sae_out = (acts @ decoder).to(x.dtype).add_(b_dec)
    error = sae_out - x
    down = (2 / len(x) * error).to(acts.dtype)
    up = torch.addmm((price * lengths).to(acts.dtype), down, decoder.T)
    up = torch.ops.aten.threshold_backward(up, acts, 0)
    active = acts.sum(0, dtype=x.dtype)
    to_encoder = (up.T @ centred.to(acts.dtype)).to(x.dtype)
    to_decoder = (acts.T @ down).to(x.dtype)
    to_decoder.addcmul_((price * active / lengths.clamp_min(1e-12))[:, None], W_dec)
    return sae_out, error, active, to_encoder, up.sum(0, dtype=x.dtype), to_decoder


def _sparse(x, centred, acts, entries, W_dec, b_dec, price, lengths):
    """The same, visiting active features alone, in float32."""
    sae_out = torch.empty_like(x)
    of_tokens = entries.indptr, entries.indices, entries.data
    kernels.rebuild(*of_tokens, W_dec.numpy(), b_dec.numpy(), sae_out.numpy())
    error = sae_out - x
    down = 2 / len(x) * error
    to_encoder, to_decoder = torch.empty_like(W_dec), torch.empty_like(W_dec)
    active, to_bias = torch.empty_like(lengths), torch.empty_like(lengths)
    given = [each.numpy() for each in (centred, down, W_dec, lengths)]
    found = [each.numpy() for each in (active, to_encoder, to_bias, to_decoder)]
    columns = entries.tocsc()
    of_features = columns.indptr[1:], columns.indices, columns.data
    kernels.gradients(*of_features, *given, np.float32(price), *found)
    return sae_out, error, active, to_encoder, to_bias, to_decoder


def new_sae(
    d_in: int,
    *,
    architecture: str,
    expansion: int,
    l1_coefficient: float,
    k: int,
    l1_warm_up_steps: int,
    seed: int,
    d_sae: int | None = None,
) -> TrainingSAE:
    """An untrained dictionary on activations that are scaled to mean norm sqrt(d_in).

    It has `d_sae` features or, if that is None, `expansion` for each number of an activation.

    Raises:
        FeatrackError: an unknown architecture, or k > d_sae.
    """
    d_sae = d_sae or expansion * d_in
    if not 0 < k <= d_sae:
        raise FeatrackError(f"sae.k is {k}, but the dictionary has only {d_sae} features.")
    common = {"d_in": d_in, "d_sae": d_sae, "normalize_activations": "expected_average_only_in"}
    penalty = {"l1_coefficient": l1_coefficient, "l1_warm_up_steps": l1_warm_up_steps}
    kinds = {
        "standard": (FusedL1SAE, sae_lens.StandardTrainingSAEConfig, penalty),
        "topk": (sae_lens.TopKTrainingSAE, sae_lens.TopKTrainingSAEConfig, {"k": k}),
        "batchtopk": (sae_lens.BatchTopKTrainingSAE, sae_lens.BatchTopKTrainingSAEConfig, {"k": k}),
    }
    if architecture not in kinds:
        raise FeatrackError(f"sae.architecture is {architecture!r}; use one of {[*kinds]}.")
    kind, config, own = kinds[architecture]
    torch.manual_seed(seed)
    return kind(config(**common, **own))


class _SteeredCoefficient(CoefficientScheduler):
    """An L1 coefficient that, once it has warmed up, keeps L0 where another's was at that step.

    On the way and not at the end alone: a dictionary that is made sparse sooner finds other
    features, and more that come back, than one of the same L0 that was left to itself.
    """

    def __init__(self, warm_up_steps: float, final_value: float, wanted: list[float]) -> None:
        super().__init__(warm_up_steps, final_value)
        self.wanted = wanted

    def steer(self, l0: float) -> None:
        """Moves the coefficient by the ratio of a batch's L0 to the wanted one."""
        if self.current_step >= self.warm_up_steps:
            wanted = self.wanted[min(self.current_step, len(self.wanted)) - 1]
            excess = max(l0, 0.01) / max(wanted, 0.01)
            self.final_value *= excess**_FOR_GOOD
            self.current_value = self.final_value * excess**_AT_ONCE

    def state_dict(self) -> dict[str, float]:
        return dict(vars(self))

    def load_state_dict(self, state_dict: dict[str, float]) -> None:
        vars(self).update(state_dict)


class RecordingTrainer(sae_lens.SAETrainer):
    """SAELens' trainer, which also keeps a short history of loss, L0 and variance explained."""

    history: list[dict[str, float]]
    every: int
    left: TimeLeft

    def step(self, batch: Tensor) -> TrainStepOutput:
        output = super().step(batch)
        self.left.at(self.n_training_steps)
        if self.n_training_steps % self.every == 0:
            x = output.sae_in
            variance = (x - x.mean(0)).square().sum().item()
            self.history.append(
                {
                    "tokens": self.n_training_samples,
                    "loss": output.loss.item(),
                    "l0": _l0(output),
                    "variance_explained": 1 - (output.sae_out - x).square().sum().item() / variance,
                }
            )
        return output

    def _train_step(self, sae: TrainingSAE, sae_in: Tensor) -> TrainStepOutput:
        if not isinstance(sae, FusedL1SAE):
            return super()._train_step(sae, sae_in)
        # As SAELens does it, but for the counts of dead features, which L1 has no use for and which
        # would take as long as the step itself.
        dtype = torch.bfloat16 if self.cfg.autocast else sae_in.dtype
        output = sae.take_gradients(sae_in, self.get_coefficients()["l1"], dtype)
        torch.nn.utils.clip_grad_norm_(sae.parameters(), 1.0)
        self.optimizer.step()
        self.lr_scheduler.step()
        for scheduler in self.coefficient_schedulers.values():
            scheduler.step()
            if isinstance(scheduler, _SteeredCoefficient):
                scheduler.steer(_l0(output))
        return output

    def write_history(self, checkpoint_path: Path) -> None:
        """Writes it as a whole or not at all."""
        temporary = checkpoint_path / ".history.csv.tmp"
        pd.DataFrame(self.history).to_csv(temporary, index=False)
        os.replace(temporary, checkpoint_path / "history.csv")


def _l0(output: TrainStepOutput) -> float:
    acts = output.feature_acts
    if acts.device.type != "cpu":
        return acts.count_nonzero().item() / len(acts)
    bits = acts.view(torch.int16 if acts.dtype == torch.bfloat16 else torch.int32)
    return int(np.count_nonzero(bits.numpy())) / len(acts)  # torch's takes ten times as long


def train_sae(
    buffers: Buffers,
    folder: Path,
    *,
    l1_coefficient: float,
    learning_rate: float,
    train_tokens: int,
    batch_tokens: int,
    seed: int,
    precision: str,
    start_from: Path | None = None,
    like: Path | None = None,
    **shape: Any,
) -> None:
    """Trains one dictionary and saves it in SAELens' format with unit decoder rows.

    A killed training goes on from its last checkpoint when called again with the same folder.

    Args:
        buffers: the activations to learn.
        folder: gets ``cfg.json``, ``sae_weights.safetensors`` and ``history.csv``.
        seed: fixes the initial weights and the order of the activations.
        start_from: a saved dictionary to train on from, instead of random weights.
        like: a saved dictionary that this one is to be as sparse as at every step: the L1
            coefficient then only begins at `l1_coefficient`. For controls, which are compared
            with a dictionary of equal sparsity. L1 dictionaries only.
        shape: `architecture`, `expansion`, `k` and `d_sae`, as `new_sae` has them.

    Raises:
        FeatrackError: what `new_sae` refuses, fewer tokens than one batch, a start of another
            kind or size, weights that are not finite at the end.
    """
    steps = train_tokens // batch_tokens
    if not steps:
        raise FeatrackError(
            f"sae.train_tokens is {train_tokens}, less than one batch of {batch_tokens}; raise it."
        )
    sae = new_sae(
        buffers[0].shape[1],
        **shape,
        seed=seed,
        l1_coefficient=l1_coefficient,
        # A trained dictionary is sparse already: without the penalty it would first unlearn that.
        l1_warm_up_steps=0 if start_from else steps // 10,
    )
    sae.cfg.metadata.hook_name = buffers.site
    sae.to(device())
    config = SAETrainerConfig(
        device=str(device()),
        total_training_samples=steps * batch_tokens,
        train_batch_size_samples=batch_tokens,
        lr=learning_rate,
        lr_end=learning_rate / 10,
        lr_warm_up_steps=min(200, steps // 20),
        lr_decay_steps=steps // 3,
        autocast=uses_bfloat16(precision),
        n_checkpoints=2,
        checkpoint_path=str(folder / _CHECKPOINTS),
        logger=LoggingConfig(log_to_wandb=False),
    )
    trainer = RecordingTrainer(config, sae, iter(()))
    trainer.history, trainer.every = [], max(1, steps // _LOGGED_STEPS)
    if like:
        its = pd.read_csv(like / "history.csv")
        read = batch_tokens * np.arange(1, steps + 1)  # after each step
        trainer.coefficient_schedulers["l1"] = _SteeredCoefficient(
            steps // 10, l1_coefficient, np.interp(read, its["tokens"], its["l0"]).tolist()
        )
    trainer.optimizer.param_groups[0]["fused"] = True  # one pass over the weights instead of ten
    if checkpoint := _last_checkpoint(folder):
        sae.load_weights_from_checkpoint(checkpoint)
        trainer.load_trainer_state(checkpoint)
        trainer.history = pd.read_csv(checkpoint / "history.csv").to_dict("records")
        # SAELens counts the step that wrote the checkpoint only after writing it.
        trainer.n_training_steps = trainer.n_training_samples // batch_tokens
    else:
        scale = buffers[0].shape[1] ** 0.5 / buffers[0].float().norm(dim=-1).mean().item()
        trainer.activation_scaler.scaling_factor = scale
        if start_from:
            _continue_from(sae, load_sae(start_from), scale)
    trainer.save_checkpoint_fn = trainer.write_history
    trainer.data_provider = activation_batches(
        buffers, batch_tokens=batch_tokens, seed=seed, skip_batches=trainer.n_training_steps
    )
    trainer.left = TimeLeft(folder.name, steps, trainer.n_training_steps)
    trainer.fit()
    sae.to("cpu").fold_W_dec_norm()
    if not all(torch.isfinite(p).all() for p in sae.parameters()):
        raise FeatrackError(f"Dictionary {folder.name} diverged; lower sae.learning_rate.")
    sae.save_inference_model(folder)
    config = folder / "cfg.json"
    # SAELens orders the keys otherwise in each process; equal dictionaries have equal files.
    config.write_text(json.dumps(json.loads(config.read_text()), sort_keys=True))
    trainer.write_history(folder)
    shutil.rmtree(folder / _CHECKPOINTS, ignore_errors=True)


def load_sae(folder: Path) -> SAE:
    """Loads a dictionary saved by `train_sae` (or by SAELens) in float32."""
    return SAE.load_from_disk(str(folder), device="cpu").eval()


@torch.no_grad()
def _continue_from(sae: TrainingSAE, parent: SAE, scale: float) -> None:
    """Gives a dictionary the weights that make it the parent, on activations times `scale`.

    The parent's decoder rows have length one and f(scale · x) is to be scale · f(x), so only what
    is added to activations, the biases and a threshold, grows with them.
    """
    kinds = [sae.cfg.get_inference_config_class().architecture(), parent.cfg.architecture()]
    if kinds[0] != kinds[1] or sae.W_enc.shape != parent.W_enc.shape:
        raise FeatrackError(
            f"A {kinds[0]} dictionary of {tuple(sae.W_enc.shape)} weights can't start from a "
            f"{kinds[1]} one of {tuple(parent.W_enc.shape)}; use the same sae parameters for both."
        )
    for name, parameter in sae.named_parameters():
        parameter.copy_(getattr(parent, name) * (scale if name.startswith("b_") else 1))
    if hasattr(sae, "topk_threshold"):  # one for all features, but saved once for each
        sae.topk_threshold.fill_(parent.threshold[0].item() * scale)


def _last_checkpoint(folder: Path) -> Path | None:
    # history.csv is written last, so a checkpoint that has it is whole.
    whole = [path.parent for path in (folder / _CHECKPOINTS).glob("*/history.csv")]
    return max(whole, key=lambda path: int(path.name), default=None)
