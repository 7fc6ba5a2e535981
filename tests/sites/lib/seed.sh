site_seed() { :; }
