"""What trains: the runs, the loop, the data sets and the scores; `zoo train` lists the runs."""
