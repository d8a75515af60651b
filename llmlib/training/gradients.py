"""The gradient of a batch: computed by the model itself or, in bfloat16, by its twin."""

from copy import deepcopy

import torch
from jaxtyping import Int
from torch import Tensor, nn

from llmlib.evaluation.metrics import next_token_loss
from llmlib.training.config import TrainConfig
from llmlib.training.weights import weights


class GradientWorker:
    """Computes the gradient of a model's loss.

    With precision "bfloat16" it is a twin of the model in bfloat16 that does the work: it
    takes over the float32 weights before every batch, and hands its gradients up to them
    (mixed precision, Micikevicius et al. 2018).

    Raises ValueError, in bfloat16, for a model that saves more than its parameters: what
    else it learns, such as running means, the twin would not hand up.
    """

    def __init__(self, model: nn.Module, config: TrainConfig) -> None:
        self.model = self.twin = model
        if config.precision == "bfloat16":
            check_buffers(model)
            self.twin = deepcopy(model).to(torch.bfloat16)
        self.forward = torch.compile(self.twin) if config.compile else self.twin

    def differentiate(
        self, inputs: Int[Tensor, "B T"], targets: Int[Tensor, "B T"], pieces: int
    ) -> float:
        """Leaves the gradient of the batch's mean loss in the model, reading it in so many
        pieces of B / pieces rows; returns the loss, in nats.
        """
        self.model.zero_grad()
        if self.twin is not self.model:
            self._hand_down_weights()
        total = torch.zeros((), device=inputs.device)
        self.twin.train()
        try:
            for x, y in zip(inputs.chunk(pieces), targets.chunk(pieces), strict=True):
                loss = next_token_loss(self.forward(x), y) / pieces
                loss.backward()
                total += loss.detach()
                if self.twin is not self.model:
                    self._hand_up_gradients()
        finally:
            self.twin.eval()
        return total.item()

    @torch.no_grad()
    def _hand_down_weights(self) -> None:
        """Copies the weights into the twin, and clears the gradients that an interrupted
        step may have left there.
        """
        self.twin.zero_grad()
        torch._foreach_copy_([*self.twin.parameters()], [*self.model.parameters()])

    def _hand_up_gradients(self) -> None:
        """Adds the gradients of the twin to those of the model, and clears them."""
        pairs = zip(self.twin.parameters(), self.model.parameters(), strict=True)
        for copy, p in pairs:
            if copy.grad is not None:
                p.grad = copy.grad.float() if p.grad is None else p.grad + copy.grad
                copy.grad = None


def check_buffers(model: nn.Module) -> None:
    """ValueError, naming the first, if a model saves more than its parameters."""
    parameters = {p.data_ptr() for p in model.parameters()}
    for name, tensor in weights(model).items():
        if tensor.data_ptr() not in parameters:
            raise ValueError(
                f"{name} is no parameter and would not be trained in bfloat16: "
                'take precision="float32"'
            )
