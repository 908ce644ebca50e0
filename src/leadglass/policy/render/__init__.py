"""The policy for the network: which address may reach which port, in the words of several firewalls."""
