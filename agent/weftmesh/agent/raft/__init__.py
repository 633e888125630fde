"""The replicated log: `engine` is its interface, `hardened` its core, `node` what drives it."""
