"""One module per clinical question, the cohort runner, reports and exports."""
