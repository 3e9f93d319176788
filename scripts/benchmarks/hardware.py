"""What bfloat16, channels last and torch.compile bring to each network, on top of single precision."""

from benchmarks.measure import Row, compare
from benchmarks.steps import through_trainer

STEPS = {"mlp": (20, 150), "dcgan": (5, 25), "resnet": (2, 6)}
"""Network to how many steps are run before and while it is timed."""

BF16, LAST, COMPILED = "trainer.precision=bf16-mixed", "channels_last=true", "compile=true"


def rows(quick: bool) -> list[Row]:
    networks = ["mlp", "dcgan"] if quick else list(STEPS)
    return [
        compare(
            f"{network}: {name} / fp32",
            "ms/step",
            ours=lambda n=network, o=overrides: through_trainer(n, *STEPS[n], o),
            other=lambda n=network: through_trainer(n, *STEPS[n]),
            repeats=1 if quick else 3,
        )
        for network in networks
        for name, overrides in variants(network, quick).items()
    ]


def variants(network: str, quick: bool) -> dict[str, list[str]]:
    """What is tried: linear layers have no channels, and compiling takes its time."""
    found = {"bf16": [BF16]}
    if network != "mlp":
        found |= {"channels last": [LAST], "bf16, channels last": [BF16, LAST]}
    if not quick:
        found |= {"compile": [COMPILED], "bf16, compile": [BF16, COMPILED]}
    return found
