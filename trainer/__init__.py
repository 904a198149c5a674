"""The trainer: recorded trades and fills in, provider metrics and signed model artifacts out.

It runs in its own process and shares no code with the server: their contract is the artifact
(`model.onnx`, `manifest.json`, `encodings.json`, `envelope.dsse.json`) and the protos. The path of
a model:

    source | store → rows → split → encodings → features → families.slippage → export → manifest →
    sign
                                                                                 evaluate ┘
"""
