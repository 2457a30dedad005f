"""Each mixer as its papers write it: one sequence, one token after the other, in NumPy, from the layer's weights.

``update(kind, weights, heads, tokens, question)`` is the update of the last of the tokens (T, w), which reads what the
others have written and, unless it is a question, writes first.
"""

import numpy as np


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softplus(x):
    return np.log1p(np.exp(x))


def silu(x):
    return x * sigmoid(x)


def rms(x, weight):
    return x / np.sqrt(np.mean(x**2, -1, keepdims=True) + np.finfo(np.float64).eps) * weight


def linear(weights, name, x):
    return x @ weights[f"{name}.weight"].T + weights.get(f"{name}.bias", 0.0)


def convolved(weights, x):
    """The short convolution over (T, c), each token with those before it."""
    if "short.weight" not in weights:
        return x
    kernel = weights["short.weight"][:, 0]
    size = kernel.shape[1]
    padded = np.concatenate([np.zeros((size - 1, x.shape[1])), x])
    return silu(np.stack([(padded[t : t + size] * kernel.T).sum(0) for t in range(len(x))]))


def decay_step(state, a, k, v, beta):
    return a * state + beta * np.outer(k, v)


def delta_step(state, a, k, v, beta):
    return a * state + beta * np.outer(k, v - a * state.T @ k)


def fast_weights(kind, weights, heads, tokens, question, unit):
    width = tokens.shape[1]
    size = width // heads
    q, k, v = np.split(convolved(weights, linear(weights, "qkv", tokens)), 3, axis=1)
    read = []
    for head in range(heads):
        some = slice(head * size, (head + 1) * size)
        state, second = np.zeros((size, size)), np.zeros((size, size))
        for t, x in enumerate(tokens):
            query, key, value = q[t, some], k[t, some], v[t, some]
            if unit:
                query, key = query / np.linalg.norm(query), key / np.linalg.norm(key)
            if t == len(tokens) - 1 and question:
                break
            if kind == "retention":
                state = decay_step(state, np.exp(weights["decay"][head]), key, value, 1.0)
            elif kind == "gla":
                gate = sigmoid(linear(weights, "up", linear(weights, "down", x))) ** (1 / 16)
                state = decay_step(state, np.maximum(gate[some, None], np.exp(-5)), key, value, 1.0)
            else:
                beta = sigmoid(linear(weights, "rate", x))[head]
                if kind == "mesa":
                    state += beta * np.outer(key, value)
                    second += beta * np.outer(key, key)
                else:
                    a = 1.0
                    if kind == "gated_delta":
                        a = np.exp(-np.exp(weights["log_speed"][head]) * softplus(linear(weights, "forget", x)[head]))
                    state = delta_step(state, a, key, value, beta)
        if kind == "mesa":
            state = np.linalg.solve(second + np.diag(np.exp(weights["log_ridge"][head]) + 1e-6), state)
        if kind in ("retention", "gla"):
            query = query / np.sqrt(size)
        answer = state.T @ query
        read.append(rms(answer, weights["norm.weight"]) if "norm.weight" in weights else answer)
    mixed = np.concatenate(read)
    if "gate.weight" in weights:
        mixed = mixed * silu(linear(weights, "gate", tokens[-1]))
    return linear(weights, "out", mixed)


def mamba2(weights, heads, tokens, question):
    inner = weights["out.weight"].shape[1]
    size = inner // heads
    mixed = convolved(weights, linear(weights, "xbc", tokens))
    x, b, c = np.split(mixed, [inner, inner + size], axis=1)
    step = softplus(linear(weights, "step", tokens))
    read = []
    for head in range(heads):
        some = slice(head * size, (head + 1) * size)
        state = np.zeros((size, size))
        for t in range(len(tokens) - question):
            a = np.exp(-np.exp(weights["log_speed"][head]) * step[t, head])
            state = decay_step(state, a, b[t], x[t, some], step[t, head])
        read.append(state.T @ c[-1] + weights["skip"][head] * x[-1, some])
    mixed = np.concatenate(read)
    if "gate.weight" in weights:
        mixed = rms(mixed * silu(linear(weights, "gate", tokens[-1])), weights["norm.weight"])
    return linear(weights, "out", mixed)


def lstm(weights, tokens):
    hidden = cell = np.zeros(tokens.shape[1])
    for x in tokens:
        gates = weights["cell.weight_ih_l0"] @ x + weights["cell.bias_ih_l0"]
        gates += weights["cell.weight_hh_l0"] @ hidden + weights["cell.bias_hh_l0"]
        i, f, g, o = np.split(gates, 4)
        cell = sigmoid(f) * cell + sigmoid(i) * np.tanh(g)
        hidden = sigmoid(o) * np.tanh(cell)
    return hidden


def gru(weights, tokens):
    hidden = np.zeros(tokens.shape[1])
    for x in tokens:
        r, z, n = np.split(weights["cell.weight_ih_l0"] @ x + weights["cell.bias_ih_l0"], 3)
        pr, pz, pn = np.split(weights["cell.weight_hh_l0"] @ hidden + weights["cell.bias_hh_l0"], 3)
        z = sigmoid(z + pz)
        hidden = (1 - z) * np.tanh(n + sigmoid(r + pr) * pn) + z * hidden
    return hidden


def update(kind, weights, heads, tokens, question, unit):
    if kind == "mamba2":
        return mamba2(weights, heads, tokens, question)
    if kind in ("lstm", "gru"):
        return {"lstm": lstm, "gru": gru}[kind](weights, tokens)
    return fast_weights(kind, weights, heads, tokens, question, unit)
