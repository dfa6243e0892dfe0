"""How the bundled model is measured on its own data: `measures` names what, `run` measures models, the rest is pure."""
