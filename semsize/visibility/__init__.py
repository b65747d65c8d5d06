"""How much of each outlined particle is seen: crops for a network, its answers as states, sizes and intervals."""
