"""All likelihoods by one name: configs and checkpoints find them here, each lives in a file of its own."""

from genlab.objectives.bernoulli import Bernoulli
from genlab.objectives.categorical import Categorical
from genlab.objectives.continuous_bernoulli import ContinuousBernoulli
from genlab.objectives.discretized_logistic import DiscretizedLogistic
from genlab.objectives.gaussian import Gaussian
from genlab.objectives.likelihood import Likelihood

__all__ = [
    "Bernoulli",
    "Categorical",
    "ContinuousBernoulli",
    "DiscretizedLogistic",
    "Gaussian",
    "Likelihood",
]
