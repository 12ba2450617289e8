"""Whether another runtime's int8 network is right: bounds in steps, layer by layer, and the causes of what is wrong."""
