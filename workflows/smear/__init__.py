"""Blood smears: from fields or slides to counts, differential and review flags."""
