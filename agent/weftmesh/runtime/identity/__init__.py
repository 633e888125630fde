"""Who a node is: the cluster's authority, node certificates, join tokens, and the credentials made of them."""
