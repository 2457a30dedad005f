"""
Markov chains: counting symbols, counting pairs
===============================================

A sequence of tokens is a prompt without inputs. Add-one counts of pairs are the Bayes predictor for
Dirichlet(1) rows.
"""

import matplotlib.pyplot as plt

from iclab.evaluation import error_curve
from iclab.predictors import NGramBayes, TrueLaw
from iclab.prompts import MarkovChains

chains = MarkovChains(3)
for name, predictor in {"unigram": NGramBayes(0), "bigram (Bayes)": NGramBayes(1), "true chain": TrueLaw()}.items():
    curve = error_curve(predictor, chains, 101, n_prompts=2000, seed=0)
    plt.plot(curve.mean, label=name)
plt.xlabel("tokens seen")
plt.ylabel("cross-entropy, nats")
plt.legend()
plt.show()
