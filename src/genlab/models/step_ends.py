"""What stands before a network of sequences and behind it: steps to features, features to parameters.

Letters in shapes: B batch, T steps, V entries of a vocabulary, D values of a step, K classes, E input features,
F output features, P parameters of a step.
"""

from torch import Tensor, nn

from genlab.models.precision import full


class StepInput(nn.Module):
    """An embedding of each token, or a linear map of the values of each step; the class added where there is one."""

    def __init__(
        self,
        features: int,
        *,
        std: float,
        vocab_size: int | None,
        num_features: int | None,
        num_classes: int | None,
    ) -> None:
        """Builds the maps.

        Args:
            features: E.
            std: standard deviation of embeddings at first.
            vocab_size: V; None for real values.
            num_features: D; None for tokens.
            num_classes: K, where each step is told the class of its sequence; else None.
        """
        super().__init__()
        self.tokens = vocab_size is not None
        self.map: nn.Embedding | nn.Linear
        if vocab_size is not None:
            self.map = nn.Embedding(vocab_size, features)
            nn.init.normal_(self.map.weight, std=std)
        else:
            assert num_features is not None
            self.map = nn.Linear(num_features, features)
        self.classes = nn.Embedding(num_classes, features) if num_classes is not None else None
        if self.classes is not None:
            nn.init.normal_(self.classes.weight, std=std)

    def forward(self, x: Tensor, label: Tensor | None, hidden: Tensor | None = None) -> Tensor:
        """Maps tokens `[B, T]` or values `[B, T, D]`, of classes `[B]`, to `[B, T, E]`.

        Of steps that are `hidden` `[B, T]` nothing is left but the class.
        """
        features = self.map(x if self.tokens else x.to(self.map.weight.dtype))
        if hidden is not None:
            features = features.masked_fill(hidden[..., None], 0)
        return features if self.classes is None else features + self.classes(label)[:, None]

    def head(self, features: int, bias: Tensor, *, tied: bool) -> "StepHead":
        """The head of the network behind it, with F features and `bias` `[P]`; of tokens tied to it where asked."""
        return StepHead(features, bias, self.map if tied and self.tokens else None)


class StepHead(nn.Module):
    """A linear map to the parameters of the next step, tied to the embedding where asked (Press & Wolf 2017).

    Tied, its weights are the embedding's; where F is not E, a linear map stands between.
    """

    def __init__(self, features: int, bias: Tensor, tied_to: nn.Module | None = None) -> None:
        """Builds the map.

        Args:
            features: F.
            bias: `[P]`, where the parameters begin.
            tied_to: an embedding whose weights are used; None for weights of its own.
        """
        super().__init__()
        self.narrow: nn.Module = nn.Identity()
        if tied_to is not None:
            assert isinstance(tied_to, nn.Embedding)
            self.weight = tied_to.weight
            if features != tied_to.embedding_dim:
                self.narrow = nn.Linear(features, tied_to.embedding_dim, bias=False)
        else:
            self.weight = nn.Linear(features, len(bias), bias=False).weight
        self.bias = nn.Parameter(bias.clone())

    def forward(self, features: Tensor) -> Tensor:
        """Maps `[..., F]` to `[..., P]` in single precision: sums over a vocabulary need the digits."""
        return full(nn.functional.linear(self.narrow(features), self.weight, self.bias))
