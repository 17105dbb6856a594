"""The published networks in plain PyTorch, as their official or best known code has them.

They are written for comparison: eager, with everything that the papers' figures show and nothing
faster. `counterpart` gives each the weights of lookwider's network, so that results are equal.
"""
